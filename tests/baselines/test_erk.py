"""Layer densities of Erdos-Renyi-Kernel, against the iteration of the paper."""

import pytest
import torch
from problems import problem, space_of, vgg

from baselines.erk import ErdosRenyiKernel
from benchmark.pruning.liveness import live
from benchmark.space import SearchSpace


def densities(space: SearchSpace, kept: int) -> list[float]:
    """The capped densities at which the layers keep `kept` weights: what would exceed 1 becomes dense, repeatedly."""
    raw = [sum(space.shapes[group.name]) / group.size for group in space.groups]
    dense: set[int] = set()
    while True:
        left = kept - sum(space.sizes[layer] for layer in dense)
        scale = left / sum(raw[layer] * size for layer, size in enumerate(space.sizes) if layer not in dense)
        over = {layer for layer, r in enumerate(raw) if r * scale > 1} - dense
        if not over:
            return [1.0 if layer in dense else r * scale for layer, r in enumerate(raw)]
        dense |= over


@pytest.mark.parametrize("budget", [0.5, 0.2, 0.06])
def test_layers_have_the_densities_of_the_paper(budget: float) -> None:
    made = problem("weight", (budget,))
    (sub,) = ErdosRenyiKernel().search(made)
    expected = densities(made.space, int(sub.mask.sum()))
    assert 1.0 in expected or budget < 0.1
    for part, density in zip(sub.mask.split(made.space.sizes), expected, strict=True):
        # To the unit, but for the path that joins input and output.
        assert abs(int(part.sum()) - density * part.numel()) <= 2


def test_macs_share_the_same_densities() -> None:
    made = problem("weight", (0.2,))
    made.space = space_of(vgg, "weight", "macs")
    (sub,) = ErdosRenyiKernel().search(made)
    for part, density in zip(sub.mask.split(made.space.sizes), densities(made.space, int(sub.mask.sum())), strict=True):
        assert abs(int(part.sum()) - density * part.numel()) <= 2


def test_among_live_weights_the_others_come_last() -> None:
    made = problem("weight", (0.1,))
    (sub,) = ErdosRenyiKernel(ErdosRenyiKernel.Parameters(among="live")).search(made)
    alive = live(made)
    assert int((sub.mask & ~alive).sum()) == 0 and int((alive & ~sub.mask).sum()) > 0
    # Layers keep what their shape says, or all that is live in them.
    kept = [int(part.sum()) for part in sub.mask.split(made.space.sizes)]
    rates = [
        count / sum(made.space.shapes[group.name])
        for count, group, part in zip(kept, made.space.groups, alive.split(made.space.sizes), strict=True)
        if count < int(part.sum())
    ]
    assert len(rates) > 3 and max(rates) - min(rates) < 0.1
    assert torch.equal(sub.mask, ErdosRenyiKernel(ErdosRenyiKernel.Parameters(among="live")).search(made)[0].mask)
