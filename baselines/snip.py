"""Single-shot pruning by connection sensitivity."""

import torch

from benchmark.config.params import Count, Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.synaptic import inference_logits, ones
from benchmark.training.loop import loss_of


class SNIP(Pruner):
    """Keep the units whose gate changes the loss most at initialisation, to first order and in absolute value.

    One mini-batch, batch norm in inference mode, the score |dL/da| at a = 1 over the whole network. A channel's gate
    sums the derivatives of all that reads it (ours; the source has single weights, and biases, which are no units
    here). The weights scored are those before any training; what is retrained starts from other draws, as in the
    source.
    Lee et al. 2019, SNIP: Single-shot Network Pruning based on Connection Sensitivity, arXiv 1810.02340.
    """

    name = "snip"
    reference = "Lee et al. 2019, arXiv 1810.02340"
    label = "SNIP"
    color = "#7570B3"
    marker = ">"
    nested = True

    class Parameters(Section):
        """`batches`: mini-batches of the recipe's size over which the loss is averaged; the source takes one."""

        batches: Count = 1

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures without weights of their own."""
        state, gates = problem.initial(), ones(problem)
        recipe = problem.recipe.model_copy(update={"steps": self.parameters.batches})
        derivative = torch.zeros_like(gates)
        for images, labels in problem.batches(problem.train, recipe, "saliency"):
            loss = loss_of(inference_logits(problem, state, gates, images), labels)
            derivative += torch.autograd.grad(loss, gates)[0]
            problem.charge(problem.dense_macs, len(labels))
        scores = derivative.double().abs().cpu()
        return problem.project(scores / scores.sum().clamp(min=torch.finfo(scores.dtype).tiny))
