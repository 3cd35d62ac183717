"""What a network file says is changed in its large model, checked before any module is touched."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from benchmark.errors import BenchError

Attribute = Annotated[str, Field(pattern=r"^_?[a-zA-Z][a-zA-Z0-9_]*$", max_length=100)]
Width = Annotated[int, Field(ge=0, le=1_000_000)]
Dim = Annotated[str, Field(pattern=r"^[0-7]$")]
Call = Annotated[str, Field(pattern=r"^[a-z_]{1,20} [0-9]{1,5}$")]
Place = Annotated[str, Field(pattern=r"^[0-9]{1,3}$")]


class Change(BaseModel):
    """One module: what replaces it, what widths are set in it and in its calls, which indices of buffers are kept."""

    model_config = ConfigDict(strict=True, extra="forbid")

    module: Annotated[str, Field(max_length=1000)]
    replace: Literal["identity", "zero", "attention"] | None = None
    set: dict[Attribute, Width | Annotated[list[Width], Field(max_length=8)] | None] = {}
    keep: dict[Attribute, dict[Dim, list[Width]]] = {}
    sizes: dict[Call, dict[Place, Annotated[list[Width], Field(min_length=2, max_length=2)]]] = {}


_CHANGES = TypeAdapter(list[Change])


def check_changes(changes: Any) -> None:
    """Raise `BenchError` unless these are changes that an extraction makes: numbers set in modules, and no more."""
    try:
        _CHANGES.validate_python(changes)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["changes", *map(str, first["loc"])])
        raise BenchError(f"{key}: {first['msg']}; extract it again") from error
