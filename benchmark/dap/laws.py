"""Weight laws: the distribution of weights against which an architecture is scored."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from benchmark import seeds
from benchmark.pruning.problem import Problem
from benchmark.training.loop import clip, learning_rate, loss_of, sgd

State = dict[str, Tensor]
Gates = Callable[[], Tensor]  # the gates [n] of one weight step; every call may give others


class WeightLaw(ABC):
    """A law P of weights. `own_weights` says whether its last weights are worth inheriting."""

    own_weights = False

    @abstractmethod
    def sample(self, step: int, gates: Gates) -> State:
        """Return the weights for architecture step `step`, its weight steps under `gates`."""


class InitialLaw(WeightLaw):
    """A fresh draw of the initialiser at every step (cf. Gaier & Ha 2019, arXiv 1906.04358)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def sample(self, step: int, gates: Gates) -> State:  # noqa: ARG002 - one interface for all laws
        """Return a draw of its own for every step."""
        return self.problem.draw(step)


class RestartLaw(WeightLaw):
    """Weights on their way: the large model's own training under the gates, restarted from a new draw.

    `restarts` trainings share the architecture steps evenly. Each runs `warmup` weight steps, then one before every
    architecture step, with the suite's recipe over its own length.
    """

    own_weights = True

    def __init__(self, problem: Problem, steps: int, restarts: int, warmup: int) -> None:
        self.problem = problem
        self.length = -(-steps // restarts)
        self.warmup = warmup
        self.recipe = problem.recipe.model_copy(update={"steps": warmup + self.length})
        self.names = [name for name, _ in problem.network.named_parameters()]

    def sample(self, step: int, gates: Gates) -> State:
        """Train on for one step, or from a new draw through the warm-up, and return the weights."""
        restart, within = divmod(step, self.length)
        if within == 0:
            self.state = self.problem.drawn(restart)  # nothing else draws meanwhile, and a copy would need the room
            for name in self.names:
                self.state[name].requires_grad_()
            self.optimizer = sgd([self.state[name] for name in self.names], self.recipe)
            self.data = self.problem.batches(self.problem.train, self.recipe, "restart", restart)
            self.done = 0
            for _ in range(self.warmup):
                self._step(gates)
        self._step(gates)
        return self.state

    def _step(self, gates: Gates) -> None:
        images, labels = next(self.data)
        self.optimizer.param_groups[0]["lr"] = learning_rate(self.recipe, self.done)
        logits = self.problem.gated_logits(self.state, gates(), images)
        loss_of(logits, labels, self.recipe.label_smoothing).backward()
        clip([g for name in self.names if (g := self.state[name].grad) is not None], self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()  # the architecture step that follows needs the room, not the gradients
        self.problem.charge(self.problem.dense_macs, len(labels))
        self.done += 1


class PretrainedLaw(WeightLaw):
    """The pretrained weights, with Gaussian noise of relative size `noise` drawn anew at every step."""

    def __init__(self, problem: Problem, noise: float) -> None:
        self.problem = problem
        self.noise = noise
        self.state = problem.pretrained()
        self.names = {name for name, _ in problem.network.named_parameters()}

    def sample(self, step: int, gates: Gates) -> State:  # noqa: ARG002 - one interface for all laws
        """Return the weights, each tensor disturbed by noise of `noise` times its root mean square."""
        state = {name: tensor.clone() for name, tensor in self.state.items()}
        if self.noise > 0:
            generator = seeds.generator(self.problem.seed, "noise", step)
            for name in sorted(self.names):
                tensor = state[name]
                size = self.noise * tensor.square().mean().sqrt()
                state[name] = tensor + size * torch.randn(tensor.shape, generator=generator).to(tensor.device)
        return state
