"""What scores at initialisation differentiate: the gated large model as a function of its units."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.pruning.problem import Problem

State = Mapping[str, Tensor]


def double(state: State) -> dict[str, Tensor]:
    """Return a copy of the state in double precision; integers stay as they are."""
    return {name: t.double() if t.is_floating_point() else t.clone() for name, t in state.items()}


def inference_logits(problem: Problem, state: State, gates: Tensor, images: Tensor) -> Tensor:
    """Return the logits [B, K] of the gated large model with batch norm in inference mode, in the state's precision.

    Differentiable in weights and gates; nothing in `state` is written to. The forward pass is not charged.
    """
    logits: Tensor = problem.space.run(problem.network.eval(), state, gates, images)
    return logits


def ones(problem: Problem, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the gates [n] of the large model itself, to be differentiated in."""
    return torch.ones(problem.space.n, dtype=dtype, device=problem.device, requires_grad=True)
