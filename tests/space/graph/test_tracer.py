"""Networks that are put together in unusual ways, and how their modules are left behind."""

import networks
import pytest
import torch
from coupled import ClassToken, Hidden
from shared_networks import Remembering, TwoNames
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.space import count
from benchmark.space.graph.dependencies import trace
from benchmark.space.graph.plain_run import plain_operators
from benchmark.space.graph.tracer import Tracer
from benchmark.space.surgery.mask_and_cut import run

IMAGE = torch.zeros(1, 1, 4, 4)


class Buffered(Hidden):
    """Channels multiplied by a buffer."""

    scale: Tensor

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.register_buffer("scale", torch.rand(4, 1, 1), persistent)

    def between(self, x: Tensor) -> Tensor:
        return x * self.scale


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(4, 6, batch_first=True)
        self.hidden = nn.Linear(6, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.rows(x[:, 0])[0][:, -1]).relu())


class Encoder(nn.Module):
    """The library's own transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.layer = nn.TransformerEncoderLayer(6, 3, 8, dropout=0.0, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x[:, 0])).mean(1))


def test_a_layer_with_two_names_is_cut_once() -> None:
    torch.manual_seed(0)
    model = TwoNames()
    space = networks.exact(model, IMAGE)
    assert space.graph.groups == {"stem": 4, "hidden": 3}
    assert {name for name in space.graph.dims if name.startswith(("one", "other"))} == {
        "one.weight",
        "one.bias",
        "other.weight",
        "other.bias",
    }
    extracted = space.extract(model, space.architecture(space.mask_of_kept({"stem": 2, "hidden": 3})))
    assert extracted.get_submodule("one") is extracted.get_submodule("other")
    assert extracted.get_parameter("first.weight") is extracted.get_parameter("second.weight")


def test_a_run_with_other_parameters_leaves_the_models_own_in_place() -> None:
    model = TwoNames().eval()
    before = {name: (id(p), p.detach().clone()) for name, p in model.named_parameters()}
    images = torch.randn(2, 1, 4, 4)
    doubled = {name: 2 * p for name, p in model.named_parameters()}
    expected = TwoNames().eval()
    expected.load_state_dict(model.state_dict())
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter.mul_(2)
    assert torch.equal(run(model, doubled, images), expected(images))
    assert {name: id(p) for name, p in model.named_parameters()} == {name: i for name, (i, _) in before.items()}
    assert all(torch.equal(p, before[name][1]) for name, p in model.named_parameters())
    # Where no module has two names it is what PyTorch's own does.
    other = networks.network("TiedEmbedding")
    values = {name: 2 * p for name, p in other.named_parameters()}
    assert torch.equal(run(other, values, images), functional_call(other, values, (images,)))


def test_parameters_may_lie_in_one_storage() -> None:
    model = Hidden()
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(vector, model.parameters())
    assert model.stem.weight.untyped_storage().data_ptr() == model.head.bias.untyped_storage().data_ptr()
    assert networks.exact(model, IMAGE).graph.groups == {"stem": 4, "hidden": 3}


def test_the_order_of_a_parameter_in_memory_does_not_matter() -> None:
    class Placed(Hidden):
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Parameter(torch.randn(1, 4, 4, 4))

        def between(self, x: Tensor) -> Tensor:
            return x + self.place

    model = Placed().to(memory_format=torch.channels_last)
    assert model.place.stride() == (64, 1, 16, 4)
    found = networks.exact(model, IMAGE).graph
    assert found.groups == {"stem": 4, "hidden": 3}
    assert found.dims["place"][1].tolist() == [0, 1, 2, 3]


def test_buffers_are_cut_when_they_are_saved_with_the_model() -> None:
    assert networks.exact(Buffered(True), IMAGE).graph.groups == {"stem": 4, "hidden": 3}
    found = networks.exact(Buffered(False), IMAGE).graph
    assert found.groups == {"hidden": 3}
    assert "cannot be cut: `return x * self.scale`" in found.whole["stem"]


@pytest.mark.parametrize("training", [False, True])
def test_what_layers_keep_of_their_parameters_is_not_taken_for_others(training: bool) -> None:
    model = Remembering().train(training)
    if not training:
        model(IMAGE)
    assert networks.exact(model, IMAGE).graph.groups == {"stem": 4, "hidden": 3}
    model = Remembering().train(training)
    trace(model, IMAGE)
    count(model, IMAGE)
    assert model.kept == []
    assert model.training is training


def test_one_channel_is_no_group() -> None:
    class One(Hidden):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.hidden = nn.Conv2d(1, 1, 3), nn.Linear(1, 3)

    found = networks.exact(One(), IMAGE).graph
    assert (found.groups, found.whole) == ({"hidden": 3}, {"stem": "has one channel"})


def test_a_recurrent_layer_loses_states() -> None:
    assert networks.exact(Recurrent(), IMAGE).graph.groups == {"rows.weight_ih_l0": 6, "hidden": 5}


def test_the_librarys_transformer_layer_loses_heads_and_hidden_units() -> None:
    found = networks.exact(Encoder(), IMAGE).graph
    assert found.groups == {"layer.self_attn.in_proj_weight": 3, "layer.linear1": 8}
    assert found.whole == {"embed": "its channels can only go together: layer norm in layer.norm1 mixes them"}


def test_labels_of_views_of_a_parameter_are_its_own() -> None:
    model = ClassToken()
    tracer = Tracer(model, IMAGE)
    places = tracer.labels.of(model.places)
    assert places.shape == (1, 5, 5)
    assert len(places.unique()) == 25
    assert torch.equal(tracer.labels.of(model.places[0, 1:, ::2].t()), places[0, 1:, ::2].t())
    assert torch.equal(tracer.labels.of(model.places.detach().expand(2, 5, 5)[1]), places[0])
    assert bool((tracer.labels.of(torch.zeros(2, 3)) == -1).all())


def test_nothing_is_left_behind_when_a_network_cannot_run() -> None:
    class Broken(Hidden):
        def between(self, x: Tensor) -> Tensor:
            raise ValueError("no luck")

    model = Broken().train()
    fast = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(ValueError, match="no luck"):
        trace(model, IMAGE)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert all(layer.training for layer in model.modules())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    with pytest.raises(ValueError, match="no luck"):
        count(model, IMAGE)
    assert all(layer.training for layer in model.modules())


def test_modules_return_what_they_return_while_they_are_watched() -> None:
    model = networks.network("TwoOutputs")
    tracer = Tracer(model, IMAGE)
    with plain_operators(model):
        expected = model(IMAGE)
    with tracer.watching():
        found = model(IMAGE)
    assert isinstance(found, tuple)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
