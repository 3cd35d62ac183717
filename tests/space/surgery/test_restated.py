from collections.abc import Callable
from copy import deepcopy

import pytest
import stating
import torch
from torch import Tensor, nn

from benchmark.models.loader import apply_changes
from benchmark.networks.changes import check_changes
from benchmark.space import ChannelSpace, count
from benchmark.space.surgery.mask_and_cut import run

MAKERS: list[tuple[Callable[[], nn.Module], str]] = [
    (stating.Heads, "qkv"),
    (stating.Flat, "conv"),
    (lambda: stating.Parts("sizes"), "conv"),
    (lambda: stating.Parts("size"), "conv"),
    (lambda: stating.Parts("slices"), "conv"),
]


def cut(space: ChannelSpace, seed: int) -> Tensor:
    """A mask that drops some units of every group."""
    drawn = torch.rand(space.n, generator=torch.Generator().manual_seed(seed))
    return space.project(drawn, max(0.5, space.minimum))


@pytest.mark.parametrize(("maker", "group"), MAKERS)
def test_what_states_its_sizes_is_cut_and_computes_what_masking_does(
    maker: Callable[[], nn.Module], group: str
) -> None:
    torch.manual_seed(0)
    model = maker().double().eval()
    space = ChannelSpace(model, stating.IMAGE.double())
    assert group in space.graph.groups, space.graph.whole
    for seed in range(3):
        mask = cut(space, seed)
        small = space.extract(model, space.architecture(mask))
        for images in (torch.randn(1, 3, 8, 8).double(), torch.randn(5, 3, 8, 8).double()):
            masked = run(model, space.gate(dict(model.named_parameters()), mask.double()), images)
            assert torch.allclose(small(images), masked, rtol=1e-10, atol=1e-12)
        assert count(small, stating.IMAGE.double()) == (space.params(mask), space.macs(mask))


def test_it_is_saved_as_numbers_copied_and_exported() -> None:
    torch.manual_seed(0)
    model = stating.Heads().eval()
    space = ChannelSpace(model, stating.IMAGE)
    assert space.graph.groups == {"qkv": 4}
    mask = torch.tensor([True, False, True, True])
    small = space.extract(model, space.architecture(mask))
    images = torch.randn(2, 3, 8, 8)
    changes = space.changes(mask)
    check_changes(changes)
    [stated] = [change["sizes"] for change in changes if "sizes" in change]
    assert stated == {"reshape 0": {"3": [4, 3]}, "view 0": {"1": [4, 3]}, "reshape 1": {"2": [16, 12]}}
    again = deepcopy(model)
    apply_changes(again, changes, small.state_dict())
    exported = torch.export.export(small, (images,)).module()
    for other in (again, deepcopy(small), exported):
        assert torch.equal(other(images), small(images))


def test_what_was_cut_is_cut_again() -> None:
    torch.manual_seed(0)
    model = stating.Heads().double().eval()
    images = torch.randn(2, 3, 8, 8).double()
    for heads in (3, 2):
        space = ChannelSpace(model, stating.IMAGE.double())
        mask = torch.ones(space.n, dtype=torch.bool)
        mask[-1] = False
        assert space.graph.groups["qkv"] == heads + 1
        masked = run(model, space.gate(dict(model.named_parameters()), mask.double()), images)
        model = space.extract(model, space.architecture(mask))
        assert torch.allclose(model(images), masked, rtol=1e-10, atol=1e-12)
    assert model.get_parameter("qkv.weight").shape == (24, 16)


def test_what_needs_no_restating_keeps_its_class() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    space = ChannelSpace(model, stating.IMAGE)
    assert space.graph.literals == ()
    small = space.extract(model, space.architecture(cut(space, 0)))
    assert [type(one) for one in small.modules()] == [type(one) for one in model.modules()]
