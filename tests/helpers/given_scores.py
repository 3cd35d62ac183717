"""What a pruner gives to the projection."""

from torch import Tensor

from benchmark.pruning.problem import Problem
from benchmark.pruning.pruner import Pruner


def given_scores(pruner: Pruner, made: Problem) -> Tensor:
    """Return the scores of the one ranking that the search makes."""
    given: list[Tensor] = []
    project = made.project
    made.project = lambda found: given.append(found) or project(found)  # type: ignore[assignment, method-assign, func-returns-value]
    pruner.search(made)
    (scores,) = given
    return scores
