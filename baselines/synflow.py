"""Pruning without data, by the paths through the network."""

import torch
from torch import Tensor

from benchmark.config.params import Count, Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.synaptic import double, inference_logits


class SynFlow(Pruner):
    """Keep the units that carry most of the network's paths, found in many small rounds without any data.

    With every weight and statistic replaced by its absolute value, inputs of ones and batch norm in inference mode, R
    is the sum of the logits; a unit's score is |a dR/da|, for single weights |w dR/dw|. Round r of `rounds` keeps the
    budget to the power r / rounds and scores what is left anew; one round is known to empty layers. In double
    precision, as path sums of deep networks leave the range of single precision.
    Tanaka et al. 2020, Pruning neural networks without any data by iteratively conserving synaptic flow, arXiv
    2006.05467.
    """

    name = "synflow"
    reference = "Tanaka et al. 2020, arXiv 2006.05467"
    label = "SynFlow"
    color = "#E7298A"
    marker = "p"

    class Parameters(Section):
        """`rounds` from the large model down to each budget."""

        rounds: Count = 100

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures without weights of their own, each budget's from rounds of its own."""
        state = {name: tensor.abs() for name, tensor in double(problem.initial()).items()}
        rounds = self.parameters.rounds
        found = []
        for number, budget in enumerate(problem.budgets):
            mask = torch.ones(problem.space.n, dtype=torch.bool)
            for done in range(1, rounds + 1):
                scores = problem.apply_inversion(flow(problem, state, mask)).where(mask, -1.0)
                mask = problem.space.project(scores, budget ** (done / rounds))
                problem.progress((number + done / rounds) / len(problem.budgets))
            found.append(SubNetwork(budget, mask))
        return found


def flow(problem: Problem, state: dict[str, Tensor], mask: Tensor) -> Tensor:
    """Return the scores |a dR/da| [n] of the sub-network `mask` under a state without negative entries."""
    gates = mask.to(problem.device, torch.float64).requires_grad_()
    images = torch.ones(1, *problem.train.shape, dtype=torch.float64, device=problem.device)
    paths = inference_logits(problem, state, gates, images).sum()
    problem.charge(problem.dense_macs, 1)
    return (gates * torch.autograd.grad(paths, gates)[0]).detach().abs().cpu()
