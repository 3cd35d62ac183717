"""Network slimming: training under a penalty on the scales of batch norm."""

import torch
from torch import Tensor

from benchmark import seeds
from benchmark.config.params import NonNegative, Positive, Section
from benchmark.pruning.norm_scales import Scales, norm_scales
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.training.loop import batches, clip, learning_rate, loss_of, sgd


class Slimming(Pruner):
    """Train the large model while an L1 penalty pulls batch norm's scales to zero; keep the largest scales.

    One training by the suite's recipe, then one ranking of |scale| over the whole network. A channel that several
    batch norms scale (a residual sum) takes the sum of theirs (ours). The penalty's subgradient is added to the loss's
    as clipped, so that the pull is the same whatever the loss does. The source trains some 125000 steps, a suite far
    fewer, so the pull is given by how far it reaches in a whole training (ours): a penalty of its size would do nothing
    here. Liu et al. 2017, Learning Efficient Convolutional Networks through Network Slimming, arXiv 1708.06519.
    """

    name = "slimming"
    reference = "Liu et al. 2017, arXiv 1708.06519"
    label = "slimming"
    color = "#AA4499"
    marker = "8"
    granularities = ("channel",)
    trains = True
    nested = True

    class Parameters(Section):
        """`travel`: the way of a scale under the penalty alone, in all; `start`: the scales' initial value (a
        model pretrained elsewhere starts from its own).

        In the source's settings the way is about 7 for its VGG and 0.7 for its ResNet.
        """

        travel: NonNegative = 1.0
        start: Positive = 0.5

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures and the penalised training's weights; `BenchError` where a unit has no batch norm."""
        scales = norm_scales(problem, self.name)
        state = problem.initial()
        if not problem.elsewhere:
            for name in scales:
                state[name].fill_(self.parameters.start)
        recipe = problem.recipe
        pull = penalty(problem, self.parameters.travel)
        weights = {name: state[name].requires_grad_() for name, _ in problem.network.named_parameters()}
        scaled = [weights[name] for name in scales]
        optimizer = sgd(weights.values(), recipe)
        every = torch.ones(problem.space.n, device=problem.device)
        data = batches(problem.train, recipe, seeds.generator(problem.seed, "source-order"))
        for step, (images, labels) in enumerate(data):
            optimizer.param_groups[0]["lr"] = learning_rate(recipe, step)
            loss = loss_of(problem.gated_logits(state, every, images), labels, recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            clip([weight.grad for weight in weights.values() if weight.grad is not None], recipe.clip)
            for scale in scaled:
                assert scale.grad is not None
                scale.grad += pull * scale.detach().sign()
            optimizer.step()
            problem.charge(problem.dense_macs, len(labels))
            problem.progress((step + 1) / recipe.steps)
        trained = {name: tensor.detach() for name, tensor in state.items()}
        return problem.project(importance(problem, scales, trained), trained)


def penalty(problem: Problem, travel: float) -> float:
    """Return the penalty's weight whose steps, momentum included, add up to `travel` over the recipe."""
    recipe = problem.recipe
    rates = sum(learning_rate(recipe, step) for step in range(recipe.steps))
    return travel * (1 - recipe.momentum) / rates


def importance(problem: Problem, scales: Scales, state: dict[str, Tensor]) -> Tensor:
    """Return the sum of every unit's |scale| [n] in a state; `scales` names the unit (-1: none) behind each entry."""
    total = torch.zeros(problem.space.n, dtype=torch.float64)
    for name, units in scales.items():
        inside = units >= 0
        total.index_add_(0, units[inside], state[name].cpu().double().abs()[inside])
    return total
