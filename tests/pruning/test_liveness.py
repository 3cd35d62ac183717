"""Units that the network never reads."""

import torch
from problems import problem

from benchmark.pruning.liveness import live, live_first


def test_kernel_taps_that_only_read_padding_are_not_live() -> None:
    made = problem("weight")
    taps = made.space.unflatten(live(made))
    # After three poolings of 8x8 images the last six layers' maps are 1x1: a 3x3 kernel has its centre only.
    for name in [name for name in taps if name.startswith("features")][-6:]:
        assert not bool(taps[name].view(-1, 9)[:, [0, 1, 2, 3, 5, 6, 7, 8]].any())
    assert bool(taps["features.0.weight"].all())
    # One batch, forward and backward.
    assert made.flops == 6 * made.dense_macs * made.recipe.batch


def test_what_is_not_live_goes_last_in_its_order() -> None:
    found = live_first(torch.tensor([3.0, -1.0, 2.0, 5.0]), torch.tensor([True, True, False, False]))
    assert found.tolist() == [3, -1, -5, -2]
