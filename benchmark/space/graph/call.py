"""One operator that ran, with its arguments by name."""

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Call:
    """One operator that ran: `name` without the mark of its in-place form, `named` its arguments by their names."""

    func: Any
    name: str
    args: Any
    kwargs: Any
    named: dict[str, Any]
    out: Any
    mutable: bool

    @classmethod
    def of(cls, func: Any, args: Any, kwargs: Any, out: Any) -> Self:
        """Return the call of `func` with these arguments, which gave `out`."""
        mutable = func._schema.is_mutable
        name = func._schema.name.removeprefix("aten::")
        arguments = func._schema.arguments
        named = {a.name: a.default_value for a in arguments if a.has_default_value()}
        named |= dict(zip((a.name for a in arguments), args, strict=False)) | kwargs
        return cls(func, name.removesuffix("_") if mutable else name, args, kwargs, named, out, mutable)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments."""
        return [one for one in tree_leaves((self.args, self.kwargs)) if isinstance(one, Tensor)]

    @property
    def results(self) -> list[Tensor]:
        """The tensors that came out."""
        return [one for one in tree_leaves(self.out) if isinstance(one, Tensor)]
