"""What a pruner is: one class in one file that turns a problem into sub-networks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from benchmark.config.params import Section
from benchmark.pruning.problem import Problem, SubNetwork

__all__ = ["Problem", "Pruner", "SubNetwork"]


class Pruner(ABC):
    """A method that finds architectures in the large model's search space.

    To add one: a file in `baselines/` with a subclass (or an entry point in the group `dapbench.pruners`), and its name
    in `run.methods` of params.yaml. The class docstring says what it does and cites its source.

    The class says what it is and needs: its `name` in params.yaml and the `label` a reader sees, its `reference`, the
    `granularities` it serves; whether it `uses_pretrained` weights (with default parameters), `trains` anything, is
    `seeded` (another seed gives other architectures), and gives `nested` architectures (a smaller budget keeps a part
    of what a larger one keeps). `color` and `marker` are those of its curves; `examples` are parameters that the
    generic tests try beside the defaults and every choice of a `Literal`.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    label: ClassVar[str] = ""
    color: ClassVar[str | None] = None
    marker: ClassVar[str] = "o"
    granularities: ClassVar[tuple[str, ...]] = ("channel", "weight", "block", "block+channel")
    uses_pretrained: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    nested: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Any], ...]] = ()

    class Parameters(Section):
        """The method's parameters with their defaults."""

    def __init__(self, parameters: Any = None) -> None:
        # Any: the type is the subclass's own Parameters, which a base class cannot name.
        self.parameters: Any = self.Parameters() if parameters is None else parameters

    def needs_pretrained(self) -> bool:
        """Return whether a search with these parameters asks for the pretrained weights."""
        return self.uses_pretrained

    def budgets(self, requested: Sequence[float]) -> tuple[float, ...]:
        """Return the budgets this method searches when the suite asks for `requested`, largest first."""
        return tuple(sorted(requested, reverse=True))

    @abstractmethod
    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one sub-network for each of `problem.budgets`, in that order."""
