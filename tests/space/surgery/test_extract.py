from copy import deepcopy

import networks
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.errors import BenchError
from benchmark.models import initialise
from benchmark.space import ChannelSpace, SearchSpace

CASES = [(name, granularity) for name in networks.NAMES for granularity in ("channel", "weight")]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def gated(model: nn.Module, space: SearchSpace, mask: Tensor, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output of the masked model, and its parameters (whose gradients can be asked for)."""
    parameters = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    return functional_call(model, space.gate(parameters, mask.to(images.dtype)), (images,)), parameters


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


@pytest.mark.parametrize(("name", "granularity"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training", [False, True])
def test_masked_and_extracted_agree(name: str, granularity: str, dtype: torch.dtype, training: bool) -> None:
    space, model = networks.space(name, granularity), networks.network(name).to(dtype).train(training)
    images = torch.randn(6, *networks.example(name).shape[1:], dtype=dtype)
    for seed, share in enumerate([0.1, 0.6]):
        mask = networks.random_mask(space, seed, share)
        masked = deepcopy(model)
        extracted = space.extract(model, space.architecture(mask))
        assert extracted.training is training
        there, parameters = gated(masked, space, mask, images)
        here = extracted(images)
        assert relative(here, there) <= TOLERANCE[dtype]

        towards = torch.randn_like(there)
        here.backward(towards)
        there.backward(towards)
        expected = space.shrink({n: p.grad for n, p in parameters.items() if p.grad is not None}, mask)
        found = {n: p.grad for n, p in extracted.named_parameters() if p.grad is not None}
        if granularity == "weight":
            found = space.shrink(found, mask)
        assert set(found) == set(expected)
        largest = max(gradient.abs().max() for gradient in expected.values())
        for entry, gradient in found.items():
            assert (gradient - expected[entry]).abs().max() <= 10 * TOLERANCE[dtype] * largest

        statistics = space.shrink(masked.state_dict(), mask)
        for entry, buffer in extracted.named_buffers():
            assert torch.allclose(buffer, statistics[entry], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "granularity"), CASES)
def test_gates_are_differentiable_where_units_are_off(name: str, granularity: str) -> None:
    space, model = networks.space(name, granularity), networks.network(name).double()
    a = networks.random_mask(space, 0).double().requires_grad_()
    parameters = dict(model.named_parameters())
    images = torch.randn(4, *networks.example(name).shape[1:], dtype=torch.float64)
    before = {n: p.detach().clone() for n, p in parameters.items()}
    names = [n for n, _ in model.named_modules()]
    functional_call(model.eval(), space.gate(parameters, a), (images,)).square().sum().backward()
    assert a.grad is not None
    assert a.grad[a == 0].count_nonzero() > 0
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    assert names == [n for n, _ in model.named_modules()]


@pytest.mark.parametrize("name", ["TwoConvolutions", "Residual", "Flattened", "Concatenated"])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_the_derivative_of_the_gate_is_right(name: str, granularity: str) -> None:
    space, model = networks.space(name, granularity), networks.network(name).double().eval()
    images = torch.randn(2, *networks.example(name).shape[1:], dtype=torch.float64)
    a = torch.rand(space.n, dtype=torch.float64, requires_grad=True)
    parameters = dict(model.named_parameters())
    assert torch.autograd.gradcheck(lambda a: functional_call(model, space.gate(parameters, a), (images,)), a)


def test_a_closed_channel_gate_is_a_masked_activation() -> None:
    space, model = networks.space("Residual", "channel"), networks.network("Residual").double()
    images = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    a = torch.tensor([1, 0.5, 0, 1, 0.25, 1], dtype=torch.float64)
    stem, inner, outer, head = (model.get_submodule(n) for n in ("stem", "inner", "outer", "head"))
    stream_gate, inner_gate = a[:4].view(1, -1, 1, 1), a[4:].view(1, -1, 1, 1)
    stream = stem(images)
    stream = stream + outer(inner_gate * inner(stream_gate * stream.relu()).relu())
    expected = head((stream_gate * stream).mean((2, 3)))
    assert torch.allclose(functional_call(model, space.gate(dict(model.named_parameters()), a), (images,)), expected)


@pytest.mark.parametrize(("name", "granularity"), CASES)
def test_the_model_is_untouched_and_the_sub_network_its_own(name: str, granularity: str) -> None:
    space, model = networks.space(name, granularity), networks.network(name)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    extracted = space.extract(model, space.architecture(networks.random_mask(space, 1)))
    with torch.no_grad():
        for parameter in extracted.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert type(extracted) is type(model)


@pytest.mark.parametrize("name", networks.LARGE)
def test_the_extracted_network_traces_and_trains_from_fresh_weights(name: str) -> None:
    space, model = networks.space(name, "channel"), networks.network(name)
    architecture = space.architecture(networks.random_mask(space, 0))
    extracted = space.extract(model, architecture)
    initialise(extracted, 0)
    first = next(layer for layer in extracted.modules() if isinstance(layer, nn.Conv2d))
    assert first.weight.shape[0] == first.out_channels == next(iter(architecture.kept.values())) < 8
    traced = torch.fx.symbolic_trace(extracted.eval())
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(traced(images), extracted(images))


def test_all_units_give_the_large_model() -> None:
    for granularity in ("channel", "weight"):
        space, model = networks.space("resnet20", granularity), networks.network("resnet20").eval()
        extracted = space.extract(model, space.architecture(torch.ones(space.n, dtype=torch.bool)))
        images = torch.randn(2, 1, 8, 8)
        assert torch.equal(extracted(images), model(images))


def test_equal_widths_mean_equal_shapes() -> None:
    space, model = networks.space("vgg16", "channel"), networks.network("vgg16")
    assert isinstance(space, ChannelSpace)
    architecture = space.architecture(networks.random_mask(space, 4))
    by_width = space.architecture(space.mask_of_kept(architecture.kept))
    assert by_width.digest != architecture.digest
    shapes = [[p.shape for p in space.extract(model, one).parameters()] for one in (architecture, by_width)]
    assert shapes[0] == shapes[1]


def test_another_model_is_refused() -> None:
    space = networks.space("TwoConvolutions", "channel")
    architecture = space.architecture(torch.ones(space.n))
    with pytest.raises(BenchError, match=r"model: stem\.weight has shape"):
        space.extract(networks.network("Residual"), architecture)


class Attentive(nn.Module):
    """One layer of a transformer, with dropout among its attention weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(self.stem(images).flatten(2).transpose(1, 2)).mean(1))


@pytest.mark.parametrize("training", [False, True])
def test_what_takes_the_place_of_a_module_is_in_its_mode(training: bool) -> None:
    model = Attentive().train(training)
    images = torch.randn(2, 3, 8, 8)
    space = ChannelSpace(model, images)
    mask = torch.ones(space.n, dtype=torch.bool)
    mask[list(space.graph.groups).index("layer.self_attn.in_proj_weight")] = False
    small = space.extract(model, space.architecture(mask))
    assert {module.training for module in small.modules()} == {training}
    # Dropout is drawn anew in every run in training, and in no other.
    assert torch.equal(small(images), small(images)) is not training
