"""One-shot magnitude pruning."""

from typing import Literal

from benchmark.config.params import Section
from benchmark.pruning.importance import magnitude_importance, ranks
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Magnitude(Pruner):
    """Keep the units of the pretrained model with the largest weights.

    Weights by absolute value, channels by the norm of the filters that produce them; ranked over the
    whole network (`global`) or within each layer at equal shares (`layerwise`).
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
        """`norm` of a channel's filter; `scope` of the ranking. Single weights have one norm only."""

        norm: Literal["l1", "l2"] = "l1"
        scope: Literal["global", "layerwise"] = "global"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures and leave them the pretrained weights."""
        scores = magnitude_importance(problem.space, problem.pretrained(), self.parameters.norm)
        if self.parameters.scope == "layerwise":
            scores = ranks(problem.space, scores)
        return problem.project(scores)
