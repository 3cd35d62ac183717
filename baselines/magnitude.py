"""One-shot magnitude pruning."""

from typing import Literal

from benchmark.config.params import Section
from benchmark.pruning.importance import magnitude_importance, ranks
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Magnitude(Pruner):
    """Keep the units of the pretrained model with the largest weights.

    Weights by absolute value, channels by the norm of the filters that produce them. Norms of filters of different
    sizes are not comparable: ranked over the whole network as they are (`raw`) they empty the layers of small filters,
    divided by the filter's size (`normalised`: mean absolute value, or root mean square) they do not. `layerwise`
    ranks within each layer, at equal shares.
    Han et al. 2015, arXiv 1506.02626; Li et al. 2017, arXiv 1608.08710.
    """

    name = "magnitude"
    reference = "Han et al. 2015, arXiv 1506.02626; Li et al. 2017, arXiv 1608.08710"
    label = "magnitude"
    color = "#0072B2"
    marker = "^"
    uses_pretrained = True
    nested = True

    class Parameters(Section):
        """`norm` of a channel's filter; `scope` of the ranking. For single weights `raw` and `normalised` are one."""

        norm: Literal["l1", "l2"] = "l1"
        scope: Literal["raw", "normalised", "layerwise"] = "raw"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures and leave them the pretrained weights."""
        norm, scope = self.parameters.norm, self.parameters.scope
        scores = magnitude_importance(problem.space, problem.pretrained(), norm, per_entry=scope == "normalised")
        if scope == "layerwise":
            scores = ranks(problem.space, scores)
        return problem.project(scores)
