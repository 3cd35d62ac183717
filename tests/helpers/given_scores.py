"""What a pruner gives to the projection."""

from torch import Tensor

from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


def given_scores(pruner: Pruner, made: Problem) -> Tensor:
    """Return the scores of the one ranking that the search makes."""
    given: list[Tensor] = []
    project = made.project

    def kept(scores: Tensor, state: dict[str, Tensor] | None = None) -> list[SubNetwork]:
        given.append(scores)
        return project(scores, state)

    made.project = kept  # type: ignore[method-assign]
    pruner.search(made)
    (scores,) = given
    return scores
