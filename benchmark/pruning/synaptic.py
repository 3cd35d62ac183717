"""What scores at initialisation differentiate: the gated large model as a function of its units."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.pruning.problem import Problem
from benchmark.space.surgery.mask_and_cut import run

State = Mapping[str, Tensor]


def double(state: State) -> dict[str, Tensor]:
    """Return a copy of the state in double precision; integers stay as they are."""
    return {name: t.double() if t.is_floating_point() else t.clone() for name, t in state.items()}


def inference_logits(problem: Problem, state: State, gates: Tensor, images: Tensor) -> Tensor:
    """Return the logits [B, K] of the gated large model with batch norm in inference mode, in the state's precision.

    Differentiable in weights and gates; nothing in `state` is written to. The forward pass is not charged.
    """
    names = {name for name, _ in problem.network.named_parameters()}
    gated = problem.space.gate({name: state[name] for name in state if name in names}, gates)
    buffers = {name: tensor for name, tensor in state.items() if name not in names}
    logits: Tensor = run(problem.network.eval(), {**gated, **buffers}, images)
    return logits


def ones(problem: Problem, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the gates [n] of the large model itself, to be differentiated in."""
    return torch.ones(problem.space.n, dtype=dtype, device=problem.device, requires_grad=True)
