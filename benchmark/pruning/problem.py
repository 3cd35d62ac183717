"""What a search is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.config.params import Recipe
from benchmark.models import initialise
from benchmark.space import SearchSpace
from benchmark.training.loop import (
    FLOPS_PER_MAC,
    Task,
    accuracy,
    at_least_single,
    autocast,
    batches,
    fit,
    on_device,
    set_train_mode,
    training_flops,
)


@dataclass(frozen=True)
class SubNetwork:
    """An architecture at a budget, and the weights the pruner leaves it with.

    `mask` bool [n] over the search space's units; `state` the weights and statistics of the full-size large
    model by name (what the mask drops is ignored), or None if the pruner has none of its own: then
    inheriting means to keep the pretrained large model's. `origin` says in words how the budget was reached, where
    one search serves several; `notes` are what the pruner measured on the way and nobody's result depends on.
    """

    budget: float
    mask: Tensor
    state: dict[str, Tensor] | None = None
    origin: str = ""
    notes: dict[str, float] = field(default_factory=dict)


@dataclass
class Problem:
    """All that a search may see: the space, the source task, budgets, a seed. Never a target task.

    Every random draw goes through `generator` or `draw`, so that a search is a function of its seed. Compute is
    charged to `flops` by the methods below; a pruner that runs the network itself calls `charge`. `elsewhere` says that
    the large model was pretrained elsewhere, `inverted` that the units ranked lowest are to be kept
    (`asked_for_inversion`: that a pruner gave its scores to `apply_inversion`).
    """

    space: SearchSpace
    network: nn.Module
    train: Task
    validation: Task
    recipe: Recipe
    budgets: tuple[float, ...]
    seed: int
    device: str
    load_pretrained: Callable[[], tuple[dict[str, Tensor], int]]
    progress: Callable[[float], None] = lambda _share: None
    elsewhere: bool = False
    inverted: bool = False
    flops: int = 0
    pretrain_flops: int = 0
    trace: list[dict[str, float]] = field(default_factory=list)
    asked_for_inversion: bool = False

    @cached_property
    def dense_macs(self) -> int:
        """The large model's multiply-accumulates for one image."""
        return self.space.macs(torch.ones(self.space.n, dtype=torch.bool))

    def generator(self, *names: str | int) -> torch.Generator:
        """Return the CPU generator of this search that belongs to `names`."""
        return seeds.generator(self.seed, "search", *names)

    def initial(self) -> dict[str, Tensor]:
        """Return the large model's initial weights: the ones pretraining started from, equal for all methods.

        Of a model pretrained elsewhere these are its pretrained weights, for the suite's training starts there.
        """
        if self.elsewhere:
            return {name: tensor.clone() for name, tensor in self.pretrained().items()}
        initialise(self.network, seeds.derive(self.seed, "init"))
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def draw(self, number: int) -> dict[str, Tensor]:
        """Return draw `number` of fresh weights for the large model, independent of the initial ones."""
        return {name: tensor.clone() for name, tensor in self.drawn(number).items()}

    def drawn(self, number: int) -> dict[str, Tensor]:
        """Return draw `number` in the network's own tensors, without a copy: the next draw or load overwrites it."""
        initialise(self.network, seeds.derive(self.seed, "search", "draw", number))
        return {name: tensor.detach() for name, tensor in self.network.state_dict().items()}

    def pretrained(self) -> dict[str, Tensor]:
        """Return the pretrained large model's weights; asking for them charges the pretraining to the search."""
        state, self.pretrain_flops = self.load_pretrained()
        return {name: tensor.to(self.device) for name, tensor in state.items()}

    def charge(self, macs: int, images: int, training: bool = True) -> None:
        """Account for `images` images through a network of `macs` MACs, forward and, in training, backward."""
        self.flops += training_flops(macs, images) if training else FLOPS_PER_MAC * macs * images

    def gated_logits(self, state: Mapping[str, Tensor], gates: Tensor, images: Tensor) -> Tensor:
        """Return the logits of the gated large model with the weights `state`, differentiable in weights and gates.

        Batch norm uses the batch's statistics; the running ones in `state` follow it as fast as the recipe says.
        The forward pass is not charged.
        """
        with autocast(images.device, self.recipe):
            logits: Tensor = self.space.run(set_train_mode(self.network, self.recipe), state, gates, images)
        return at_least_single(logits)

    def batches(self, task: Task, recipe: Recipe, *names: str | int) -> Any:
        """Yield the batches of a task in the order that belongs to `names`."""
        return batches(task, recipe, self.generator("batches", *names))

    def project(self, scores: Tensor, state: dict[str, Tensor] | None = None) -> list[SubNetwork]:
        """Return one sub-network per budget that keeps the highest scores [n]."""
        scores = self.apply_inversion(scores)
        return [SubNetwork(budget, self.space.project(scores, budget), state) for budget in self.budgets]

    def apply_inversion(self, scores: Tensor) -> Tensor:
        """Return the scores [n] by which units are kept: `scores`, in the control `inverted` their mirror image.

        The mirror stands in the middle of their range, which stays the same. Infinite scores stay as they are: they say
        what is taken first or last, not how it ranks.
        """
        self.asked_for_inversion = True
        if not self.inverted:
            return scores
        finite = scores.isfinite()
        if not bool(finite.any()):
            return scores
        exact = scores.double()
        return torch.where(finite, exact[finite].max() + exact[finite].min() - exact, exact)

    def retrain(
        self, mask: Tensor, state: Mapping[str, Tensor], start: int = 0, stop: int | None = None
    ) -> dict[str, Tensor]:
        """Train the sub-network `mask` on the source from `state`; returns full-size weights, zero where pruned.

        Recipe and order of batches are those of pretraining, from step `start` up to, but without, step `stop`.
        """
        self.network.load_state_dict(state)
        network = self.space.extract(self.network, self.space.architecture(mask, {}))
        network = set_train_mode(on_device(network, self.device), self.recipe)
        stop = self.recipe.steps if stop is None else min(stop, self.recipe.steps)
        data = batches(self.train, self.recipe, seeds.generator(self.seed, "source-order"))
        masks = self.space.weight_masks(mask)
        fit(network, dict(network.named_parameters()), islice(data, start, stop), self.recipe, masks, start=start)
        self.charge(self.space.macs(mask), (stop - start) * min(self.recipe.batch, len(self.train)))
        return self.space.embed(network.state_dict(), mask)

    def evaluate(self, mask: Tensor, state: Mapping[str, Tensor]) -> float:
        """Return the source validation accuracy of `state` under the mask; the oracle for predictor-guided searches."""
        gates = mask.float().to(self.device)
        self.charge(self.space.macs(mask), len(self.validation), training=False)
        self.network.eval()
        return accuracy(partial(self.space.run, self.network, state, gates), self.validation)
