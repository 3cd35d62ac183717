import re
from collections.abc import Callable
from copy import deepcopy
from itertools import product

import networks
import pytest
import shallow
import torch
from keeping import Keeping
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.loader import apply_changes
from benchmark.pruning.importance import magnitude_importance
from benchmark.space import BlockSpace, build_space, count, pack_state, unpack_state

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def gated(model: nn.Module, space: BlockSpace, a: Tensor, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    parameters = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    return space.run(model, parameters, a.to(images.dtype), images), parameters


def images_of(name: str, count: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, *shallow.example(name).shape[1:], generator=draw, dtype=dtype)


def groups(space: BlockSpace) -> dict[str, int]:
    return {group.name: group.size for group in space.groups}


def replaced(space: BlockSpace) -> list[dict[str, str]]:
    """What takes out each block."""
    return [{change["module"]: change["replace"] for change in block.changes} for block in space.blocks]


def test_two_bottlenecks_by_hand() -> None:
    space = shallow.space("TwoBottlenecks")
    assert groups(space) == {"first": 2} and space.graph.whole == {}
    assert replaced(space) == [{"first": "identity"}, {"second": "identity"}]
    # stem 9 * 4, per block 9 * 4 * 2 + 2 * 4 + 4, head 4 * 2; maps of 16 positions.
    stem, block, head = 36, 72 + 8 + 4, 8
    assert space.total == stem + 2 * block + head == 212
    assert space.macs(torch.ones(2)) == 16 * (36 + 2 * (72 + 8)) + 8
    one = torch.tensor([False, True])
    assert space.params(one) == 212 - block
    assert space.macs(one) == 16 * (36 + 72 + 8) + 8
    assert space.minimum == 128 / 212
    assert space.cost(torch.tensor([0.5, 0.25])).item() == stem + 0.75 * block + head
    # The budget of one block: the better one; a score of a block that does not fit changes nothing.
    assert space.project(torch.tensor([1.0, 2.0]), 0.99).tolist() == [False, True]
    assert space.project(torch.tensor([2.0, 2.0]), 128 / 212).tolist() == [True, False]
    assert space.project(torch.tensor([1.0, 2.0]), 1.0).tolist() == [True, True]
    with pytest.raises(BenchError, match="below the smallest block architecture"):
        space.project(torch.zeros(2), 127 / 212)


def test_a_gate_scales_the_branch() -> None:
    space, model = shallow.space("TwoBottlenecks"), shallow.network("TwoBottlenecks").double()
    images, a = images_of("TwoBottlenecks"), torch.tensor([0.25, 0.5], dtype=torch.float64)
    x = model.stem(images)
    for gate, block in zip(a, (model.first, model.second), strict=True):
        x = x + gate * block.outer(block.inner(x).relu())
    assert torch.allclose(gated(model, space, a, images)[0], model.head(x.mean((2, 3))))


def test_blocks_of_a_stage_in_both_forms() -> None:
    space = shallow.space("Stages")
    assert groups(space) == {"blocks.0": 2, "blocks.2": 2}
    branch = {"one": "identity", "one_norm": "identity", "two": "identity", "two_norm": "zero"}
    assert replaced(space) == [
        # What it reads can be negative, and its ReLU stays.
        {f"blocks.0.{name}": how for name, how in branch.items()},
        {"blocks.1": "identity"},
        # The projection stays.
        {f"blocks.2.{name}": how for name, how in (branch | {"one": "zero"}).items()},
        {"blocks.3": "identity"},
    ]
    halved = space.blocks[2].changes[0]
    assert halved == {"module": "blocks.2.one", "replace": "zero", "set": {"size": 5, "dim": 1, "stride": 2}}
    # 3x3 convolutions and two norms: 9 * (3*3 + 3*3) + 4*3, 9 * (3*5 + 5*5) + 4*5, 9 * (5*5 + 5*5) + 4*5.
    costs = [174, 174, 380, 470]
    everything = space.params(torch.ones(4))
    assert [everything - space.params(1 - torch.eye(4)[unit]) for unit in range(4)] == costs
    # Whichever is chosen, the dearest must fit.
    assert space.minimum == (everything - 174 - 380) / everything
    assert space.complexity(space.project(torch.tensor([0, 0, 1.0, 0]), space.minimum)) < space.minimum


def test_layers_are_mixed_with_what_they_take() -> None:
    space, model = shallow.space("Layers"), shallow.network("Layers").double().train()
    assert groups(space) == {"features.3": 4}
    with_norm = [{f"features.{place}": "identity" for place in (at, at + 1, at + 2)} for at in (3, 6)]
    assert replaced(space) == [
        *with_norm,
        *({f"hidden.{at}": "identity", f"hidden.{at + 1}": "identity"} for at in (0, 2)),
    ]
    images = images_of("Layers")
    a = torch.tensor([0.25, 0.5, 0.75, 1], dtype=torch.float64)
    found = gated(deepcopy(model), space, a, images)[0]
    x = model.features[:3](images)
    for gate, layer in zip(a[:2], (model.features[3:6], model.features[6:]), strict=True):
        x = gate * layer(x) + (1 - gate) * x
    x = x.mean((2, 3))
    for gate, layer in zip(a[2:], (model.hidden[:2], model.hidden[2:]), strict=True):
        x = gate * layer(x) + (1 - gate) * x
    assert torch.allclose(found, model.head(x), rtol=1e-12)


def test_branches_of_one_module_are_blocks_of_their_own() -> None:
    space = shallow.space("Tokens")
    assert groups(space) == {"encoders.0.attention": 3, "encoders.0.mlp": 3}
    assert replaced(space)[0] == {"encoders.0.norm": "identity", "encoders.0.attention": "zero"}
    assert replaced(space)[3] == {"encoders.0.mlp": "zero"}
    # The layer scale is silenced, but is the encoder's own and stays: norm 8, projections 4 * 4 * 4 + 4 * 4.
    assert space.blocks[0].gates == ("encoders.0.scale",)
    everything = torch.ones(6)
    assert space.params(everything) - space.params(everything.index_fill(0, torch.tensor([0]), 0)) == 8 + 64 + 16
    # 4 tokens: 4 projections of 4 * 4, and every pair of tokens twice over 4 channels.
    macs = space.macs(everything) - space.macs(everything.index_fill(0, torch.tensor([0]), 0))
    assert macs == 4 * 64 + 2 * 4 * 4 * 4


@pytest.mark.parametrize(("name", "granularity"), shallow.CASES)
def test_the_cost_is_what_is_counted_on_the_extracted_network(name: str, granularity: str) -> None:
    model = shallow.network(name)
    for kind in ("params", "macs"):
        space = shallow.space(name, granularity, kind)
        everything = torch.ones(space.n, dtype=torch.bool)
        assert (space.params(everything), space.macs(everything)) == count(model, shallow.example(name))
        for seed, share in enumerate([0.1, 0.6]):
            mask = networks.random_mask(space, seed, share)
            extracted = space.extract(model, space.architecture(mask))
            assert count(extracted, shallow.example(name)) == (space.params(mask), space.macs(mask))
            assert space.cost(mask.double()).item() == space.exact_cost(mask)
            assert set(extracted.state_dict()) == set(space.tensors(mask))


@pytest.mark.parametrize(("name", "granularity"), shallow.CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training", [False, True])
def test_silenced_and_extracted_agree(name: str, granularity: str, dtype: torch.dtype, training: bool) -> None:
    space, model = shallow.space(name, granularity), shallow.network(name).to(dtype).train(training)
    images = images_of(name, dtype=dtype)
    for seed, share in enumerate([0.1, 0.6]):
        mask = networks.random_mask(space, seed, share)
        silenced = deepcopy(model)
        extracted = space.extract(model, space.architecture(mask))
        assert extracted.training is training
        there, parameters = gated(silenced, space, mask, images)
        here = extracted(images)
        assert (here - there).abs().max() <= TOLERANCE[dtype] * there.abs().max()
        towards = torch.randn(there.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
        here.backward(towards)
        there.backward(towards)
        expected = space.shrink({n: p.grad for n, p in parameters.items() if p.grad is not None}, mask)
        # A layer scale that stays without its branch has no gradient, as its gate has one only.
        found = {n: p.grad for n, p in extracted.named_parameters() if p.grad is not None and p.grad.any()}
        largest = max(gradient.abs().max() for gradient in expected.values())
        assert found and set(found) <= set(expected)
        for entry, gradient in found.items():
            assert (gradient - expected[entry]).abs().max() <= 10 * TOLERANCE[dtype] * largest
        statistics = space.shrink(silenced.state_dict(), mask)
        for entry, buffer in extracted.named_buffers():
            if entry in statistics:
                assert torch.allclose(buffer, statistics[entry], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [*shallow.TOYS, "resnet20"])
def test_every_choice_of_blocks_of_toys(name: str) -> None:
    space, model = shallow.space(name), shallow.network(name).double().eval()
    images = images_of(name, 2)
    choices = (
        product([False, True], repeat=space.n) if space.n < 8 else [[True, False, False] * 3, [False, True, True] * 3]
    )
    for choice in choices:
        mask = torch.tensor(choice)
        if all(bool(part.any()) for part in mask.split(space.sizes)):
            extracted = space.extract(model, space.architecture(mask))
            assert torch.allclose(extracted(images), gated(model, space, mask, images)[0], rtol=1e-9, atol=0)


@pytest.mark.parametrize(("name", "granularity"), shallow.CASES)
def test_gates_are_differentiable_where_blocks_are_off(name: str, granularity: str) -> None:
    space, model = shallow.space(name, granularity), shallow.network(name).double().eval()
    a = networks.random_mask(space, 0).double().requires_grad_()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    space.run(model, dict(model.named_parameters()), a, images_of(name)).square().sum().backward()
    assert a.grad is not None
    blocks = slice(0, len(space.blocks))
    assert bool((a.grad[blocks] != 0).all()) and bool((a[blocks] == 0).any())
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    relaxed = torch.rand(space.n, dtype=torch.float64, requires_grad=True)
    if space.n < 20:
        assert torch.autograd.gradcheck(space.cost, relaxed)


@pytest.mark.parametrize(("name", "granularity"), shallow.CASES)
def test_round_trips(name: str, granularity: str) -> None:
    space, model = shallow.space(name, granularity), shallow.network(name)
    mask = networks.random_mask(space, 3, 0.1)
    state = model.state_dict()
    full = unpack_state(space, mask, pack_state(space, mask, state))
    assert {n: (t.shape, t.dtype) for n, t in full.items()} == {n: (t.shape, t.dtype) for n, t in state.items()}
    shrunk = space.shrink(full, mask)
    assert all(torch.equal(tensor, shrunk[n]) for n, tensor in space.shrink(state, mask).items())
    gone = [n for n in full if n not in shrunk]
    assert gone and all(not full[n].any() for n in gone)
    assert all(torch.equal(full[n], t) for n, t in space.embed(shrunk, mask).items())
    # What extraction does is what its description says.
    by_hand = deepcopy(model)
    apply_changes(by_hand, space.changes(mask), shrunk)
    extracted = space.extract(model, space.architecture(mask)).eval()
    assert torch.equal(by_hand.eval()(images_of(name).float()), extracted(images_of(name).float()))
    # The copy is its own, and the model untouched.
    with torch.no_grad():
        for parameter in extracted.parameters():
            parameter.add_(1)
    assert all(torch.equal(state[n], t) for n, t in shallow.network(name).state_dict().items())


class Sigmoid(nn.Module):
    """Adds a half when all its parameters are zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).sigmoid()


class Shifted(nn.Module):
    """The scales silence more than the convolutions give, and are nobody's that could be taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.scales = nn.ParameterList(torch.ones(1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scales[0] * (self.one(x) + 1)
        return x + self.scales[1] * (self.two(x) + 1)


class Bare(Sigmoid):
    """Ends in a norm that has no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x))


class Nested(nn.Module):
    """Two small blocks inside a branch, with a convolution around them."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(4, 4, kernel, padding=kernel // 2)
        self.first, self.second = Bottleneck2(), Bottleneck2()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(self.before(x)))


class Bottleneck2(shallow.Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x).tanh())


def twice(block: type[nn.Module], *arguments: int) -> nn.Module:
    torch.manual_seed(0)
    blocks = [block(*arguments) for _ in range(2)]
    return nn.Sequential(nn.Conv2d(1, 4, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (twice(Shifted), "(1.one skipping it is not silencing it (outputs differ by"),
        (twice(Bare), "(1 its branch ends in native_batch_norm, and no parameters are found that silence it)"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), shallow.Bottleneck(), nn.Flatten()), "(1 is the only block of its kind)"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, 2)), "could be skipped; use"),
    ],
)
def test_a_network_without_blocks_is_refused_with_the_reason(model: nn.Module, reason: str) -> None:
    with pytest.raises(BenchError, match=r"^Sequential: has no blocks .*" + re.escape(reason)):
        build_space(model, torch.zeros(1, 1, 6, 6), "block")


def test_of_nested_branches_the_weightier_are_blocks() -> None:
    # Inside: 2 * 84 of 2 * 84 + 20 or 2 * 84 + 404 parameters.
    inner = build_space(twice(Nested, 1), torch.zeros(1, 1, 6, 6), "block")
    assert [(group.name, group.size) for group in inner.groups] == [("1.first", 4)]
    outer = build_space(twice(Nested, 5), torch.zeros(1, 1, 6, 6), "block")
    assert [(group.name, group.size) for group in outer.groups] == [("1", 2)]


def test_off_is_what_zero_parameters_give() -> None:
    model = twice(Sigmoid)
    space = build_space(model, torch.zeros(1, 1, 6, 6), "block")
    assert [block.changes for block in space.blocks] == [({"module": f"{i}.conv", "replace": "zero"},) for i in (1, 2)]
    images = torch.randn(3, 1, 6, 6)
    stem = model[0](images)
    expected = model[5]((stem + 0.5 + model[2].conv(stem + 0.5).sigmoid()).mean((2, 3)))
    extracted = space.extract(model, space.architecture(torch.tensor([False, True])))
    assert torch.allclose(extracted(images), expected)


def test_shared_weights_stay() -> None:
    model = shallow.network("TwoBottlenecks")
    model.second.inner.weight = model.first.inner.weight
    space = build_space(model, shallow.example("TwoBottlenecks"), "block")
    # Only the outer convolutions, 2 * 4 + 4 parameters each, are a block's own.
    assert space.params(torch.ones(2)) - space.params(torch.tensor([0, 1])) == 12
    assert [list(block.gone) for block in space.blocks] == [["first.outer"], ["second.outer"]]


def test_the_magnitude_of_a_block_is_that_of_its_filters() -> None:
    space, model = shallow.space("TwoBottlenecks"), shallow.network("TwoBottlenecks").double()
    model.requires_grad_(False)
    found = magnitude_importance(space, model.state_dict(), "l1")
    filters = [*model.first.inner.weight.abs().sum((1, 2, 3)), *model.first.outer.weight.abs().sum((1, 2, 3))]
    assert found[0].item() == pytest.approx(sum(float(norm) for norm in filters) / 6)
    squares = magnitude_importance(space, model.state_dict(), "l2")[0].item() ** 2
    weights = (model.first.inner.weight, model.first.outer.weight)
    assert squares == pytest.approx(sum(float(weight.square().sum()) for weight in weights) / 6)


def test_blocks_of_large_models() -> None:
    assert groups(shallow.space("resnet20")) == {"blocks.0": 3, "blocks.3": 3, "blocks.6": 3}
    assert groups(shallow.space("resnet18")) == {f"layer{stage}.0": 2 for stage in range(1, 5)}
    assert groups(shallow.space("vit")) == {"blocks.0.attn": 3, "blocks.0.mlp": 3}
    plain = build_space(networks.network("vgg16"), networks.example("vgg16"), "block")
    # Of 13 layers, the first ones of four stages change the width.
    assert groups(plain) == {"features.3": 9} and plain.graph.whole == {}


def test_what_layers_keep_is_not_copied_into_a_sub_network() -> None:
    class Remembering(Keeping, shallow.TwoBottlenecks):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.second(self.first(self.scaled(self.stem(x)))).mean((2, 3)))

    model, image = Remembering().eval(), shallow.example("TwoBottlenecks")
    space = build_space(model, image, "block+channel")
    model(image)
    mask = networks.random_mask(space, 1)
    extracted = space.extract(model, space.architecture(mask))
    assert extracted.get_parameter("scale").shape != model.scale.shape
    assert extracted(image).shape == (1, 2)


class InTraining(shallow.TwoBottlenecks):
    """In training the first block's weight is looked at, beside dropout: with the block it would be gone."""

    def __init__(self, looked_at: Callable[[nn.Module], Tensor]) -> None:
        super().__init__()
        self.third, self.looked_at = shallow.Bottleneck(), looked_at

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(self.stem(x)))
        if self.training:
            x = nn.functional.dropout(x, 0.2) * self.looked_at(self)
        return self.head(self.third(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("looked_at", "reason"),
    [
        (lambda model: model.first.inner.weight.norm(), "cannot be skipped in training mode: "),
        (
            lambda model: 1.0 if isinstance(getattr(model.first, "inner", None), nn.Conv2d) else 2.0,
            "skipping it is not silencing it in training mode (outputs differ by ",
        ),
    ],
    ids=["crash", "other numbers"],
)
@pytest.mark.parametrize("granularity", ["block", "block+channel"])
def test_a_block_that_training_cannot_do_without_stays(
    granularity: str, looked_at: Callable[[nn.Module], Tensor], reason: str
) -> None:
    space = build_space(InTraining(looked_at), shallow.example("TwoBottlenecks"), granularity)
    assert isinstance(space, BlockSpace)
    assert [block.module for block in space.blocks] == ["second", "third"]
    assert space.graph.whole["first"].startswith(reason)


def test_drop_path_in_a_branch_leaves_it_a_block() -> None:
    class Dropped(shallow.Bottleneck):
        def forward(self, x: Tensor) -> Tensor:
            kept = x.new_empty(len(x), 1, 1, 1).bernoulli_(0.8) / 0.8 if self.training else 1.0
            return x + kept * self.outer(self.inner(x).relu())

    model = shallow.TwoBottlenecks()
    model.first, model.second = Dropped(), Dropped()
    space = BlockSpace(model, shallow.example("TwoBottlenecks"))
    assert groups(space) == {"first": 2} and space.graph.whole == {}
