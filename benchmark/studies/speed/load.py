"""The trainings that are timed: those of a suite, on random images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, fx, nn

from benchmark import models, seeds
from benchmark.config.params import ModelRef, Recipe
from benchmark.dap.pruner import DAP
from benchmark.protocol.fewshot import Draw
from benchmark.pruning.problem import Problem
from benchmark.space import SearchSpace, build_space
from benchmark.training.loop import Task, batches, fit, on_device, set_train_mode, stacked_batches
from benchmark.training.stacked import Replicas

CLASSES = 5
Forward = Callable[[Tensor], Tensor]
# Trains what a forward pass belongs to, through that pass or through another form of it.
Training = tuple[Forward, Callable[[Forward], object]]


@dataclass(frozen=True)
class Load:
    """The size of the work: a large model, its images [channels, size, size], and the steps of every training."""

    model: ModelRef
    channels: int
    size: int
    device: str
    steps: int
    batch: int = 128
    draws: int = 15

    def recipe(self, precision: Literal["float32", "bfloat16"] = "float32") -> Recipe:
        """Return the recipe of the source trainings."""
        return Recipe(steps=self.steps, batch=self.batch, lr=0.05, precision=precision)

    @property
    def finetune(self) -> Recipe:
        """The recipe of the few-shot trainings."""
        return Recipe(steps=self.steps, batch=20, lr=0.05, norm_momentum=0.5)

    def large(self) -> nn.Module:
        """Return the large model on the device."""
        return on_device(models.build(self.model, self.channels, CLASSES, self.size), self.device)

    def small(self, budget: float = 0.1) -> nn.Module:
        """Return a random sub-network, extracted at a budget."""
        large, space, mask = self._pruned(budget)
        return on_device(space.extract(large, space.architecture(mask)), self.device)

    def masked(self, budget: float = 0.1) -> tuple[nn.Module, dict[str, Tensor]]:
        """Return the large model and what that sub-network keeps of it: masks 0 or 1, by the weights' names."""
        large, space, mask = self._pruned(budget)
        ones = {name: torch.ones_like(tensor) for name, tensor in large.state_dict().items()}
        kept = space.restore(space.shrink(ones, mask), mask)
        return large.to(self.device), {name: kept[name].to(self.device) for name, _ in large.named_parameters()}

    def _pruned(self, budget: float) -> tuple[nn.Module, SearchSpace, Tensor]:
        large = models.build(self.model, self.channels, CLASSES, self.size)
        space = build_space(large, torch.zeros(1, self.channels, self.size, self.size), "channel")
        return large, space, space.project(torch.rand(space.n, generator=torch.Generator().manual_seed(0)), budget)

    def searching(self) -> Callable[[], object]:
        """Return a search of DAP with as many steps, of the weights and of the architecture each, from new weights."""
        network = self.large()
        space = build_space(network, torch.zeros(1, self.channels, self.size, self.size, device=self.device), "channel")
        problem = Problem(
            space=space,
            network=network,
            train=self.source(),
            validation=self._task(self.batch),
            recipe=self.recipe(),
            budgets=(0.1,),
            seed=0,
            device=self.device,
            load_pretrained=lambda: ({}, 0),
        )
        pruner = DAP(DAP.Parameters(near=None, steps=self.steps, restarts=1, warmup=0))
        return lambda: pruner.search(replace(problem, trace=[]))

    def source(self) -> Task:
        """Return the images that source trainings run on."""
        return self._task(4 * self.batch)

    def few_shot(self) -> list[Draw]:
        """Return few-shot tasks of five images per class."""
        test = self._task(100)
        return [Draw(5, draw, self._task(5 * CLASSES), test, CLASSES, draw) for draw in range(self.draws)]

    def training(
        self,
        network: nn.Module,
        layout: torch.memory_format = torch.channels_last,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> Training:
        """Return a source training of the network, images and weights in a memory layout."""
        recipe = self.recipe(precision)
        network = set_train_mode(network.to(memory_format=layout), recipe)
        task = self.source()

        def train(forward: Forward) -> None:
            data = batches(task, recipe, seeds.generator(0, "speed"))
            shown = ((images.contiguous(memory_format=layout), labels) for images, labels in data)
            fit(forward, dict(network.named_parameters()), shown, recipe)

        return network, train

    def finetuning(self, network: nn.Module) -> Training:
        """Return the fine-tuning of the network on all few-shot tasks at once, as `straight` stacked replicas."""
        recipe, tasks = self.finetune, [draw.train for draw in self.few_shot()]
        template = set_train_mode(network, recipe)
        replicas = Replicas(template, [template.state_dict() for _ in tasks], tasks[0].shape)

        def train(forward: Forward) -> None:
            orders = [seeds.generator(number, "speed") for number in range(len(tasks))]
            fit(forward, replicas.parameters, stacked_batches(tasks, recipe, orders), recipe)

        return straight(replicas), train

    def _task(self, count: int) -> Task:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (count, self.channels, self.size, self.size), generator=generator)
        mean, std = torch.full((self.channels,), 0.5), torch.full((self.channels,), 0.3)
        return Task(images.to(torch.uint8), torch.arange(count) % CLASSES, mean, std).to(self.device)


def straight(replicas: Replicas) -> Forward:
    """Return the replicas' forward pass as `torch.compile` can follow it in one piece, without fx's nodes.

    It is a plain list of operations, each with the places of its inputs among the earlier results.
    """
    places = {node: place for place, (node, _) in enumerate(replicas._steps)}
    (_, first), *others = replicas._steps
    plan = [
        (operation, [(isinstance(arg, fx.Node), places.get(arg, arg)) for arg in node.args])
        for node, operation in others
    ]

    def run(images: Tensor) -> Tensor:
        values = [first(images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last))]
        for operation, arguments in plan:
            values.append(operation(*[values[argument] if is_value else argument for is_value, argument in arguments]))
        return values[-1]

    return run
