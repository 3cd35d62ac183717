"""What a gated training is measured on in tests: a loss as a function of the gates, and pretraining as its limit."""

from collections.abc import Callable, Mapping

import torch
from problems import CLASSES, Normed, TwoConvolutions, pretrained_weights, problem
from torch import Tensor

from benchmark.pruning.problem import Problem
from benchmark.training.loop import loss_of


def gated_loss() -> tuple[Problem, Callable[[Tensor], Tensor]]:
    """A problem of two convolutions in double precision, and the loss on six images as a function of its gates [5]."""
    made = problem("channel", build=TwoConvolutions)
    made.network.double()
    state = made.initial()
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(6, 1, 8, 8, generator=draw, dtype=torch.float64)
    return made, lambda gates: loss_of(made.gated_logits(state, gates, images), torch.arange(6) % CLASSES)


def assert_pretrained(made: Problem, state: Mapping[str, Tensor] | None) -> None:
    """Assert that a state of `Normed` has the parameters that pretraining gives."""
    assert state is not None
    expected = pretrained_weights(0, Normed)[0]
    for name, _ in made.network.named_parameters():
        torch.testing.assert_close(state[name], expected[name], rtol=1e-4, atol=1e-6)
