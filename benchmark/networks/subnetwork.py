"""A sub-network: an architecture, and the weights its pruner left it with."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmark.errors import BenchError
from benchmark.files import atomic_write
from benchmark.space import Architecture, SearchSpace
from benchmark.space.weights_file import pack_state

WEIGHTS = ".weights.safetensors"


@dataclass(frozen=True)
class SubNetwork:
    """What a search found at one budget.

    `state` are the large model's weights and statistics by name, as the pruner left them (what the architecture drops
    is ignored), on the CPU; None if the pruner has no weights of its own, and then inheriting means to keep those of
    the pretrained large model. `space` is the search space of both.
    """

    architecture: Architecture
    state: dict[str, Tensor] | None
    space: SearchSpace

    @property
    def mask(self) -> Tensor:
        """The kept units, bool [n] over the search space's."""
        return self.space.mask(self.architecture)

    def save(self, path: Path) -> None:
        """Write the architecture, and beside it, as `dapbench search` does, the pruner's weights if it has any.

        Each file appears whole or not at all; `BenchError` when one cannot be written.
        """
        self.architecture.save(path)
        if self.state is not None:
            atomic_write(path.with_suffix(WEIGHTS), pack_state(self.space, self.mask, self.state))


def architecture_of(found: object) -> Architecture:
    """Return the architecture of a sub-network, or an architecture itself; `BenchError` for anything else."""
    if isinstance(found, SubNetwork):
        return found.architecture
    if not isinstance(found, Architecture):
        raise BenchError(
            f"found: {type(found).__name__}; expected one sub-network or architecture, as in api.search(...)[0] or "
            "api.Architecture.load"
        )
    return found
