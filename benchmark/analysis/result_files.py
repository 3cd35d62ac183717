"""The one schema of every file in reports/results/SUITE beside the rows: who reads one reads it through here."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BenchError
from benchmark.files import read_json

SCHEMA = 1
LATEST = 1e11  # Unix seconds, some thousand years from now
REMEDY = "restore it from git or run `dvc repro`"
M = TypeVar("M", bound=BaseModel)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Budget = Annotated[float, Field(gt=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith(("/", "~")) or ".." in parts or any(sign in path for sign in "\\:\0"):
        raise ValueError(f"{path[:60]!r} is no path below the repository's folder")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


class Part(BaseModel):
    """What is used of a JSON file, with the types of JSON; further keys are for other readers."""

    model_config = ConfigDict(frozen=True, strict=True)


class JobTiming(Part):
    """When a job ran: Unix seconds, and how long it took."""

    started: float = Field(gt=0, lt=LATEST)
    seconds: float = Field(ge=0, lt=LATEST)


class Timings(Part):
    """METHOD.timings.json: by job."""

    cells: dict[str, JobTiming]


class FoundArchitecture(Part):
    """An architecture that a search found; `file` is its path below the repository's folder."""

    variant: str
    granularity: str
    cost: str
    seed: Seed
    budget: Budget
    kept: dict[str, Count]
    sizes: dict[str, Count]
    file: Inside
    search_cell: str
    notes: dict[str, float] = Field(default_factory=dict)
    distil: Literal["logits", "structured"] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "FoundArchitecture":
        if list(self.kept) != list(self.sizes) or any(self.kept[name] > size for name, size in self.sizes.items()):
            raise ValueError("kept and sizes are not of the same layers")
        return self


def _whole(value: object) -> object:
    """A job's record holds all quantities of a point as floats, the step too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class TracePoint(BaseModel):
    """The state of a search after `step` steps: further keys are its quantities, null where undefined."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")
    __pydantic_extra__: dict[str, float | None]

    step: Annotated[Seed, BeforeValidator(_whole)]


class Trace(Part):
    """The course of one search; `cost` None: that of the suite, which has one."""

    variant: str
    granularity: str
    seed: Seed
    points: list[TracePoint]
    cost: str | None = None


class Overlap(Part):
    """How much of their units the architectures of several seeds share, and how much random ones would."""

    variant: str
    granularity: str
    budget: Budget
    pairs: Count
    share: float
    chance: float


class Nested(Part):
    """The share of an architecture's units that the next larger one keeps, too."""

    variant: str
    granularity: str
    seed: Seed
    budget: Budget
    share: float


class Searches(Part):
    """METHOD.search.json."""

    architectures: list[FoundArchitecture]
    traces: list[Trace]
    overlaps: list[Overlap] = Field(default_factory=list)
    nested: list[Nested] = Field(default_factory=list)


class Tried(Part):
    """A learning rate and the accuracy it gave."""

    lr: float = Field(gt=0)
    accuracy: Share


class Rate(Part):
    """The learning rate of a recipe at one budget; `cost` None: that of the suite, which has one."""

    granularity: str
    budget: Budget
    kind: Literal["training", "finetune", "scratch"]
    lr: float = Field(gt=0)
    tried: list[Tried]
    cost: str | None = None


class Tuning(Part):
    """tuning.json."""

    rates: list[Rate]


class Floor(Part):
    """What a measure gives on the images themselves."""

    seed: Seed
    target: str
    shots: int = Field(ge=1)
    measure: Literal["nearest", "probe", "finetune"]
    accuracy: Share
    top5: Share | None = None


class FloorsFile(Part):
    """floors.json."""

    floors: list[Floor]


class Manifest(Part):
    """The parts of a data set's manifest that identify it; the others come along."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    name: str
    digest: str
    source: str
    count: int = Field(ge=1)
    classes: list[str] = Field(min_length=1)


class Alike(Part):
    """How many images of a target are nearly those of the source, and how that was looked for."""

    threshold: float
    side: Count
    pairs: Count
    images: Count
    exact: Count


class DataFile(Part):
    """data.json: the manifests of a suite."""

    source: Manifest
    targets: dict[str, Manifest]
    near_duplicates: dict[str, Alike | None] = Field(default_factory=dict)


def read_part(path: Path, model: type[M], schema: int = SCHEMA, remedy: str = REMEDY) -> tuple[M, dict[str, Any]]:
    """Return what `model` says of a JSON file, and all that the file holds, of which `model` is then true.

    Raises `BenchError` naming the file, the key, what is wrong with it, and the remedy.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise BenchError(f"{path}: expected an object of schema {schema}; {remedy}")
    try:
        return model.model_validate(content), content
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "file"
        raise BenchError(f"{path}: {key}: {first['msg']}; {remedy}") from error
