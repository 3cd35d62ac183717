"""The controls: controls beside the grid, each of which asks one question about what the grid shows.

`twice` trains the dense control on the source for twice as many steps. The others concern the default variant of every
method that prunes: `shuffled` permutes the units of an architecture within each group, `inverted` keeps the units that
the search ranks lowest, `labels` searches on a source whose labels are permuted, `flops` trains an architecture on the
source for as many operations as the large model.
"""

from typing import get_args

from benchmark.config.params import Control, WeightsMode

DENSE = "dense"
WEIGHTS: WeightsMode = "fresh"  # all controls ask about architectures
COMPARED: tuple[Control, ...] = tuple(control for control in get_args(Control) if control != "twice")
SEARCHED = frozenset({"inverted", "labels"})  # with searches of their own
PRETRAINED = frozenset({"labels"})  # the pretraining is a part of a search that asks for it
# Blocks differ in cost: as many others of them would be another budget.
SHUFFLED = frozenset({"channel", "weight"})


def concerns(control: str, method: str, variant: str, granularity: str) -> bool:
    """Return whether an control has rows of a method's variant at a granularity."""
    if control == "twice":
        return method == DENSE
    return method != DENSE and not variant and (control != "shuffled" or granularity in SHUFFLED)
