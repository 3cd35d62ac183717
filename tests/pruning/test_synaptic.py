"""What scores at initialisation differentiate, where layers and channels are both units."""

import pytest
import torch
from problems import problem, vgg

from benchmark.pruning.synaptic import double, inference_logits

STEP = 1e-6


@pytest.mark.parametrize("granularity", ["block", "block+channel"])
def test_the_gates_of_layers_count_as_those_of_channels_do(granularity: str) -> None:
    made = problem(granularity, (0.9,), build=vgg)
    state = double(made.initial())
    images = torch.randn(2, *made.train.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gates = torch.full((made.space.n,), 0.7, dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(inference_logits(made, state, gates, images).square().sum(), gates)
    # Blocks are the first units; with channels beside them the last unit is a channel.
    for unit in (0, 1, made.space.n - 1):
        nudge = torch.zeros_like(gates)
        nudge[unit] = STEP
        up, down = (inference_logits(made, state, gates.detach() + s * nudge, images).square().sum() for s in (1, -1))
        assert float(slopes[unit]) == pytest.approx(float((up - down) / (2 * STEP)), rel=1e-4)
    assert (slopes[:2] != 0).all()
