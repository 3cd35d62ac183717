"""Architecture files from others: what they say about themselves is checked before anybody relies on it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import BenchError
from benchmark.space.architecture import Architecture

Size = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[int, Field(ge=0, lt=2**63)]


class Meta(BaseModel):
    """The metadata of an architecture or of a network, all of them optional; further keys are the maker's."""

    model_config = ConfigDict(strict=True, frozen=True)

    model: dict[str, Any] = Field(default_factory=dict)
    input: Annotated[list[Size], Field(min_length=3, max_length=3)] | None = None
    classes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    cost: Literal["params", "macs", "memory"] = "params"
    seed: Seed = 0
    budget: Annotated[float, Field(gt=0, le=1)] | None = None
    complexity: Annotated[float, Field(ge=0, le=1)] | None = None
    params: Amount | None = None
    macs: Amount | None = None
    method: str = ""
    reference: str = ""
    origin: str = ""
    pretrained: str | None = None


def check_meta(meta: Any, where: str) -> Meta:
    """Return the metadata as typed values; `BenchError`, beginning with `where`, names the key that is none."""
    try:
        return Meta.model_validate(meta)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["meta", *map(str, first["loc"])])
        raise BenchError(f"{where}: {key}: {first['msg']}; make the file again with dapbench search") from error


def read_architecture(path: Path) -> Architecture:
    """Read an architecture file that may come from anywhere: like `Architecture.load`, with its metadata checked."""
    try:
        found = Architecture.load(path)
    except (RecursionError, ValueError) as error:
        raise BenchError(f"{path}: its description is damaged; make the file again") from error
    check_meta(found.meta, str(path))
    if not found.masks or not all(found.sizes.values()):
        raise BenchError(f"{path}: holds a layer without units; make the file again with dapbench search")
    return found
