"""Peak memory as a cost: by hand, and against what is alive in the extracted network."""

import weakref
from typing import Any

import pytest
import torch
from problems import Residual, TwoConvolutions, resnet, space_of, vgg
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark import models
from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.space import SearchSpace, build_space

ZOO = ("torchvision:mobilenet_v3_small", "timm:resnet10t", "timm:convnext_atto")
GRANULARITIES = ("channel", "block", "block+channel")


class Living(TorchDispatchMode):
    """Follows the tensors themselves, where the search space follows their storages."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._made: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        self._made += [weakref.ref(one) for one in tree_leaves(result) if isinstance(one, Tensor)]
        living = [tensor for tensor in (one() for one in self._made) if tensor is not None]
        memory = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in living}
        memory.update(dict.fromkeys(self.given, 0))
        self.peak = max(self.peak, sum(memory.values()))
        return result

    def of(self, network: nn.Module, image: Tensor) -> int:
        tensors = [image, *network.parameters(), *network.buffers()]
        self.given = [tensor.untyped_storage().data_ptr() for tensor in tensors]
        with torch.no_grad(), self:
            network.eval()(image)
        return self.peak


def assert_measured(model: nn.Module, space: SearchSpace, image: Tensor, draws: int) -> None:
    draw = torch.Generator().manual_seed(0)
    masks = [torch.ones(space.n, dtype=torch.bool)]
    for _ in range(draws):
        share = float(torch.rand(1, generator=draw))
        budget = space.minimum + share * (1 - space.minimum)
        masks.append(space.project(torch.rand(space.n, generator=draw), budget))
        assert space.complexity(masks[-1]) <= budget
    for mask in masks:
        network = space.extract(model, space.architecture(mask))
        assert space.exact_cost(mask) == Living().of(network, image)
        assert float(space.cost(mask.double())) == pytest.approx(space.exact_cost(mask), abs=1e-6)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("build", [vgg, resnet])
def test_it_is_what_lives_in_the_extracted_network(build: Any, granularity: str) -> None:
    assert_measured(build(), space_of(build, granularity, "memory"), torch.zeros(1, 1, 8, 8), 3)


@pytest.mark.parametrize("name", ZOO)
def test_it_is_what_lives_in_the_libraries_networks(name: str) -> None:
    model = models.build(ModelRef(name=name), 3, 5, 32)
    image = torch.zeros(1, 3, 32, 32)
    assert_measured(model, build_space(model, image, "channel", "memory"), image, 2)


def test_two_convolutions_by_hand() -> None:
    # 8 x 8 floats: each channel takes 256 bytes. The first tanh holds 2 j channels, the second layer reads j and makes
    # k, the second tanh holds 2 k.
    space = space_of(TwoConvolutions, "channel", "memory")
    for j in (1, 2):
        for k in (1, 2, 3):
            mask = torch.tensor([j > 0, j > 1, k > 0, k > 1, k > 2])
            assert space.exact_cost(mask) == 256 * max(2 * j, j + k, 2 * k)
    assert (space.total, space.minimum) == (1536, 512 / 1536)


def test_a_skipped_layer_is_what_the_network_without_it_holds() -> None:
    # Both of a residual sum's terms and what it makes are alive: 3 x 4 channels in the full network.
    space = space_of(Residual, "channel", "memory")
    assert space.total == 3 * 4 * 256
    blocks = space_of(resnet, "block+channel", "memory")
    mask = torch.ones(blocks.n)
    full = blocks.exact_cost(mask)
    mask[: len(blocks.blocks)] = 0
    assert 0 < blocks.exact_cost(mask) < full


@pytest.mark.parametrize("granularity", ["channel", "block+channel"])
def test_gradient_against_finite_differences(granularity: str) -> None:
    space = space_of(resnet, granularity, "memory")
    point = 0.2 + 0.6 * torch.rand(space.n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    at = point.clone().requires_grad_()
    (slope,) = torch.autograd.grad(space.cost(at), at)
    assert bool((slope != 0).any())
    for unit in range(0, space.n, 7):
        step = torch.zeros_like(point)
        step[unit] = 1e-6
        difference = float(space.cost(point + step) - space.cost(point - step)) / 2e-6
        assert difference == pytest.approx(float(slope[unit]), rel=1e-4, abs=1e-3)


def test_between_blocks_peaks_are_averaged() -> None:
    space = space_of(resnet, "block", "memory")
    one, two = torch.zeros(space.n, dtype=torch.float64), torch.ones(space.n, dtype=torch.float64)
    one[:2] = 1
    mixed = 0.25 * two + 0.75 * one
    expected = 0.25 * space.exact_cost(two) + 0.75 * space.exact_cost(one)
    assert float(space.cost(mixed)) == pytest.approx(expected)


def test_units_beside_the_peak_cost_nothing() -> None:
    space = space_of(TwoConvolutions, "channel", "memory")
    gates = torch.ones(5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(space.cost(gates), gates)
    assert slope.tolist() == [0, 0, 512, 512, 512]
    # Two channels of the second layer fit 1024 bytes, and both of the first beside them.
    assert space.project(torch.tensor([5.0, 1.0, 3.0, 4.0, 0.0]), 1024 / 1536).tolist() == [1, 1, 1, 1, 0]


def test_single_weights_are_refused() -> None:
    with pytest.raises(BenchError, match=r"memory does not depend on single weights.*use granularity channel"):
        space_of(TwoConvolutions, "weight", "memory")


def test_a_budget_below_the_smallest_is_refused() -> None:
    space = space_of(TwoConvolutions, "channel", "memory")
    with pytest.raises(BenchError, match=r"0\.333333 of the memory; ask for at least 0\.3334"):
        space.project(torch.ones(5), 0.1)
