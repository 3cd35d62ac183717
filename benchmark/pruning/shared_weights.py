"""The weights that all sub-networks of a search share, while it trains them by the suite's recipe."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark.pruning.problem import Problem
from benchmark.training.loop import clip, learning_rate, sgd

State = dict[str, Tensor]


class SharedWeights:
    """The large model's weights and statistics, and the optimiser that trains them for `steps` steps of the recipe.

    `state` holds them by name; they are changed in place. `recipe` is the suite's with this number of steps.
    """

    def __init__(self, problem: Problem, state: State, steps: int) -> None:
        self.problem = problem
        self.recipe = problem.recipe.model_copy(update={"steps": steps})
        self.names = [name for name, _ in problem.network.named_parameters()]
        self.state = state
        for name in self.names:
            state[name].requires_grad_()
        self._optimizer = sgd([state[name] for name in self.names], self.recipe)
        self._done = 0

    def logits(self, gates: Tensor, images: Tensor) -> Tensor:
        """Return the logits of the gated large model in training; charged as the dense pass that it is."""
        self.problem.charge(self.problem.dense_macs, len(images))
        return self.problem.gated_logits(self.state, gates, images)

    def update(self) -> None:
        """Move the weights against the gradients that they have gathered, at the schedule's learning rate."""
        self._optimizer.param_groups[0]["lr"] = learning_rate(self.recipe, self._done)
        clip([g for name in self.names if (g := self.state[name].grad) is not None], self.recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._done += 1

    def copied(self) -> State:
        """Return a copy of weights and statistics as they are now, without gradients."""
        return copied(self.state)


def copied(state: Mapping[str, Tensor]) -> State:
    """Return a copy of a state, without gradients."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


@torch.no_grad()
def recalibrated(problem: Problem, state: Mapping[str, Tensor], mask: Tensor, count: int, *names: str | int) -> State:
    """Return the state with batch norm statistics of the sub-network `mask` [n]: means over `count` training batches.

    Weights that many widths share have statistics of none of them (Yu & Huang 2019, arXiv 1903.05134). `names` say
    which batches. The forward passes are charged; a network without running statistics costs nothing.
    """
    result = copied(state)
    norms = [
        f"{name}." if name else ""
        for name, module in problem.network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return result
    recipe = problem.recipe.model_copy(update={"steps": count})
    statistics = [result[f"{norm}{kind}"] for norm in norms for kind in ("running_mean", "running_var")]
    sums = [torch.zeros_like(statistic) for statistic in statistics]
    gates = mask.float().to(problem.device)
    for images, _ in problem.batches(problem.train, recipe, "statistics", *names):
        # From zero, one update leaves the batch's statistics times the momentum.
        for statistic in statistics:
            statistic.zero_()
        problem.gated_logits(result, gates, images)
        problem.charge(problem.dense_macs, len(images), training=False)
        for total, statistic in zip(sums, statistics, strict=True):
            total += statistic / problem.recipe.norm_momentum
    for total, statistic in zip(sums, statistics, strict=True):
        statistic.copy_(total / count)
    return result
