"""params.yaml as typed values: the one place where an experiment is described.

Everything structural is checked here, before anything is trained; names that live in
registries (methods, data sets, models) and method parameters are checked by `benchmark.validate`.
"""

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BenchError, unknown

Granularity = Literal["channel", "weight"]
WeightsMode = Literal["fresh", "scratch", "inherit"]
CostKind = Literal["params", "macs"]
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def _distinct(values: list[T]) -> list[T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} stands twice; every value may stand once")
    return values


def _budget(value: float) -> float:
    if not 0 < value < 1:
        shown = "NaN" if math.isnan(value) else f"{value:g}"
        raise ValueError(
            f"a budget is a share of the large model's cost between 0 and 1, such as 0.05 for 5 %, not {shown}"
        )
    return value


Distinct = Annotated[list[T], Field(min_length=1), AfterValidator(_distinct)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Budget = Annotated[float, AfterValidator(_budget)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Section(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetRef(Section):
    """A labelled image set, or the part of one that a task uses.

    `classes` keeps these original labels, in this order, as 0, 1, ...; `channels` and `size`
    convert the images (None: as they are).
    """

    name: str
    classes: Annotated[list[int], AfterValidator(_distinct)] | None = None
    channels: Literal["grey", "rgb"] | None = None
    size: Count | None = None


class TargetRef(DatasetRef):
    """A target task; `label` names it in rows, tables and figures."""

    label: Name


class Split(Section):
    """Shares of the source set, stratified by class; the rest is test."""

    train: Fraction = 0.6
    validation: Fraction = 0.2

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> Self:
        if self.train + self.validation >= 1 - 1e-9:
            raise ValueError("train + validation must stay below 1, the rest is the test part")
        return self


class DataSection(Section):
    """What is learnt from and transferred to.

    `pool` is the number of target images per class from which the k-shot sets are drawn; all others are test.
    """

    source: DatasetRef
    targets: Annotated[list[TargetRef], Field(min_length=1)]
    split: Split = Split()
    pool: Count = 20


class ModelRef(Section):
    """The large model: `own:NAME`, and the factor on every layer's usual width."""

    name: str
    width: Positive = 1.0


class Recipe(Section):
    """How weights are trained, the same for every method.

    SGD with Nesterov momentum, linear warm-up, then cosine decay to zero; `steps` batches of `batch`
    images each; `shift` is the largest random translation in pixels; gradients longer than `clip` are shortened to it.
    `norm_momentum` is how fast batch norm's running statistics follow the batches: short trainings need it high.
    """

    steps: Count
    batch: Count
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NonNegative = 5e-4
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    shift: Annotated[int, Field(ge=0)] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: Positive = 5.0
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1


class GridSection(Section):
    """The axes of the comparison. Budgets are shares of the large model's cost."""

    granularities: Distinct[Granularity]
    cost: CostKind = "params"
    budgets: Distinct[Budget]
    seeds: Distinct[Seed]


class TransferSection(Section):
    """The few-shot protocol: `draws` k-shot sets per seed and per number of shots."""

    weights: Distinct[WeightsMode]
    shots: Distinct[Count]
    draws: Count
    finetune: Recipe
    scratch: Recipe


class SuiteConfig(Section):
    """A named experiment. `methods` lists what runs, with parameters that hold in this suite only."""

    title: str
    data: DataSection
    model: ModelRef
    grid: GridSection
    training: Recipe
    transfer: TransferSection
    methods: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if max(self.transfer.shots) > self.data.pool:
            raise ValueError(
                f"transfer.shots: {max(self.transfer.shots)} shots, but data.pool holds {self.data.pool} images "
                "per class; raise data.pool or lower the shots"
            )
        labels = [target.label for target in self.data.targets]
        if len(set(labels)) < len(labels):
            raise ValueError("data.targets: two targets share a label; give each its own")
        return self


class Variant(Section):
    """A named set of non-default parameters of a method, at all or some granularities."""

    params: dict[str, Any]
    granularities: Distinct[Granularity] | None = None


class MethodConfig(Section):
    """A method's parameters (defaults come from its class) and its variants."""

    params: dict[str, Any] = {}
    variants: dict[Name, Variant] = {}


class RunSection(Section):
    """Which suites and methods the pipeline runs."""

    suites: Distinct[Name]
    methods: Distinct[Name]


class ComputeSection(Section):
    """Where cells run. `jobs` workers change no result; another kind of device, or other `threads`, round differently.

    `threads` is per worker, so that a result does not depend on the number of workers.
    """

    jobs: Count | Literal["auto"] = "auto"
    threads: Count = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"


class SourcesSection(Section):
    """Where data sets are looked for before their official place: folders or addresses."""

    mirrors: list[str] = []


class Params(Section):
    """The whole of params.yaml."""

    run: RunSection
    compute: ComputeSection = ComputeSection()
    data: SourcesSection = SourcesSection()
    methods: dict[Name, MethodConfig]
    suites: dict[Name, SuiteConfig]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name in self.run.suites:
            if name not in self.suites:
                raise ValueError(str(unknown("suite", name, self.suites, "run.suites")))
        for name in self.run.methods:
            if name not in self.methods:
                raise ValueError(str(unknown("method", name, self.methods, "run.methods")))
        for suite in self.run.suites:
            for name in self.run.methods:
                if name not in self.suites[suite].methods:
                    raise ValueError(
                        f"suites.{suite}.methods: {name!r} is in run.methods but not here; add `{name}: {{}}`"
                    )
        return self


class _Loader(yaml.SafeLoader):
    """YAML as DVC reads it: 5e-4 is a number, and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml; `BenchError` names the key, what was expected and the remedy."""
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except FileNotFoundError as error:
        raise BenchError(f"{path}: no such file; run in the repository's folder or name one with --params") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BenchError(
            f"{path}: not readable as YAML ({' '.join(str(error).split())}); mend it or restore it"
        ) from error
    if not isinstance(content, dict):
        raise BenchError(f"{path}: expected a mapping with the keys {', '.join(Params.model_fields)}")
    return parse(Params, content, str(path))


def parse(model: type[M], content: Any, where: str, prefix: str = "") -> M:
    """Validate `content` as `model`; the first error becomes a one-line `BenchError`.

    The line begins with `where` (a file), then names the key, with `prefix` before it when
    `content` is only a part of the file ("methods.dap.params").
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise BenchError(f"{where}: {_explain(model, content, error, prefix)}") from error


def _explain(model: type[BaseModel], content: Any, error: ValidationError, prefix: str) -> str:
    # A misspelt key shows up twice, as unknown and as missing; the unknown one is the one to read.
    errors = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    first = errors[0]
    key = _key(content, first)
    dotted = ".".join(filter(None, [prefix, *map(str, key)]))
    if first["type"] == "extra_forbidden":
        fields = _fields_at(model, first["loc"][:-1])
        close = get_close_matches(str(first["loc"][-1]), fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(fields)}"
        return f"{dotted}: unknown key; {hint}"
    if first["type"] in _SENTENCES:
        message = _SENTENCES[first["type"]] or str(first["ctx"]["error"])
    else:
        # A value that fits no branch of a union has one error per branch.
        wanted = dict.fromkeys(_wanted(item) for item in errors if _key(content, item) == key)
        given = first["input"]
        shown = "" if isinstance(given, dict | list) else f" (got {_short(given)})"
        message = f"expected {' or '.join(wanted)}{shown}"
    return f"{dotted}: {message}" if dotted else message


def _key(content: Any, error: Any) -> tuple[str | int, ...]:
    """The error's place as the user wrote it: pydantic's names of union branches left out."""
    key: list[str | int] = []
    for part in error["loc"]:
        if (isinstance(content, dict) and part in content) or (isinstance(content, list) and isinstance(part, int)):
            content = content[part]
        elif error["type"] != "missing":
            continue
        key.append(part)
    return tuple(key)


def _wanted(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Input should be ")
    number = "a number " if message.startswith(("greater", "less")) else ""
    return _WANTED.get(error["type"], number + message)


_SENTENCES = {
    "value_error": "",
    "missing": "missing; add it",
    "too_short": "at least one value is needed",
    "invalid_key": "keys are words; put it in quotes if it is meant so",
}
_WANTED = {
    "dict_type": "a mapping of keys to values ({} for none)",
    "model_type": "a mapping of keys to values ({} for the defaults)",
    "list_type": "a list such as [0, 1]",
    "string_pattern_mismatch": "a name of small letters, digits, - and _",
}


def _short(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys allowed at `path` below `model`, following lists, dictionaries and optional sections."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        while not (isinstance(current, type) and issubclass(current, BaseModel)):
            inner = [a for a in get_args(current) if a not in (type(None), str)]
            sections = [a for a in inner if get_args(a) or (isinstance(a, type) and issubclass(a, BaseModel))]
            if not sections:
                break
            current = sections[-1]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []
