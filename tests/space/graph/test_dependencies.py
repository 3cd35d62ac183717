import networks
import numpy as np
import pytest
import torch
import torchvision
from pruning_library import couplings
from torch import nn

from benchmark.space.graph.dependencies import DependencyGraph, only, trace


def graph(name: str) -> DependencyGraph:
    return trace(networks.network(name), networks.example(name))


def units(found: DependencyGraph, tensor: str, dim: int = 0) -> list[int]:
    return found.dims[tensor][dim].tolist()


def test_a_chain_has_one_group_per_layer_and_none_for_the_classes() -> None:
    found = graph("TwoConvolutions")
    assert found.groups == {"first": 2, "second": 3}
    assert found.whole == {}
    assert {name: {dim: side.tolist() for dim, side in dims.items()} for name, dims in found.dims.items()} == {
        "first.weight": {0: [0, 1]},
        "first.bias": {0: [0, 1]},
        "second.weight": {0: [2, 3, 4], 1: [0, 1]},
        "norm.weight": {0: [2, 3, 4]},
        "norm.bias": {0: [2, 3, 4]},
        "norm.running_mean": {0: [2, 3, 4]},
        "norm.running_var": {0: [2, 3, 4]},
        "head.weight": {1: [2, 3, 4]},
    }
    assert found.producers == (("first.weight", 0), ("second.weight", 0))
    assert found.readers == (("second.weight", 1), ("head.weight", 1))


def test_a_residual_sum_couples_its_terms() -> None:
    found = graph("Residual")
    assert found.groups == {"stem": 4, "inner": 2}
    assert units(found, "outer.weight") == units(found, "stem.weight") == units(found, "head.weight", 1) == [0, 1, 2, 3]
    assert units(found, "inner.weight", 1) == [0, 1, 2, 3]


def test_flattening_repeats_each_channel_for_every_position() -> None:
    assert units(graph("Flattened"), "hidden.weight", 1) == np.repeat([0, 1, 2], 4).tolist()


def test_concatenation_keeps_its_parts_apart() -> None:
    found = graph("Concatenated")
    assert found.groups == {"left": 3, "right": 2, "join": 4}
    assert units(found, "join.weight", 1) == units(found, "norm.running_var") == [0, 1, 2, 3, 4]


def test_a_depthwise_convolution_passes_channels_through() -> None:
    found = graph("Depthwise")
    assert found.groups == {"expand": 4, "project": 3}
    assert units(found, "spatial.weight") == units(found, "project.weight", 1) == [0, 1, 2, 3]
    assert found.producers == (("expand.weight", 0), ("project.weight", 0))
    assert found.readers == (("project.weight", 1), ("head.weight", 1))


def test_the_units_of_a_grouped_convolution_are_its_groups() -> None:
    found = graph("Grouped")
    assert found.groups == {"first": 2, "last": 3}
    assert (
        units(found, "first.weight") == units(found, "grouped.bias") == units(found, "last.weight", 1) == [0, 0, 1, 1]
    )
    assert list(found.dims["grouped.weight"]) == [0]


def test_units_that_reach_different_layers_form_groups_of_their_own() -> None:
    found = graph("SumOfConcatenation")
    assert found.groups == {"whole": 3, "whole:2": 2, "last": 3}
    assert units(found, "whole.weight") == units(found, "last.weight", 1) == [0, 1, 2, 3, 4]
    assert (units(found, "left.weight"), units(found, "right.weight")) == ([0, 1, 2], [3, 4])


def test_a_shared_layer_couples_what_it_reads() -> None:
    found = graph("Siamese")
    assert found.groups == {"left": 4, "shared": 3}
    assert units(found, "left.weight") == units(found, "right.weight") == units(found, "shared.weight", 1)
    assert units(found, "shared.weight") == units(found, "head.weight", 1) == [4, 5, 6]


def test_a_layer_used_twice_in_a_row_couples_its_ends() -> None:
    found = graph("Repeated")
    assert found.groups == {"stem": 4, "last": 3}
    assert units(found, "twice.weight") == units(found, "twice.weight", 1) == [0, 1, 2, 3]


def test_a_convolutional_classifier_is_not_pruned() -> None:
    assert graph("ConvolutionalClassifier").groups == {"features": 4}


def test_the_products_of_one_run_are_counted() -> None:
    found = graph("Residual")
    # Maps of 16 positions, one image.
    assert {(product.tensor, product.times) for product in found.weighted} == {
        ("stem.weight", 16),
        ("inner.weight", 16),
        ("outer.weight", 16),
        ("head.weight", 1),
    }
    assert found.products.tolist() == [0] * 7
    # Three heads: four tokens with four others, two entries each, and the same back.
    assert graph("Transformer").products.tolist() == [0] * 5 + [64] * 3 + [0]
    # Of channels left whole: nine taps of four channels, at 16 positions, for four channels.
    assert graph("Standardised").products.tolist() == [0, 0, 0, 9 * 4 * 16 * 4]


def test_groups_left_out_leave_no_trace() -> None:
    found = only(graph("Transformer"), ["attn.qkv"], {"embed": "for a test"})
    assert found.groups == {"attn.qkv": 3}
    assert found.whole == {"embed": "for a test"}
    heads = np.repeat([0, 1, 2], 2).tolist()
    assert {name: {dim: side.tolist() for dim, side in dims.items()} for name, dims in found.dims.items()} == {
        "attn.qkv.weight": {0: heads * 3},
        "attn.proj.weight": {1: heads},
    }
    assert found.producers == (("attn.qkv.weight", 0),)
    assert found.readers == (("attn.proj.weight", 1),)
    assert found.products.tolist() == [64, 64, 64, 0]


def vgg11_bn() -> nn.Module:
    """With smaller layers behind the last map."""
    model = torchvision.models.vgg11_bn(num_classes=5, init_weights=False)
    model.classifier[0], model.classifier[3] = nn.Linear(25088, 24), nn.Linear(24, 16)
    model.classifier[6] = nn.Linear(16, 5)
    return model


LIBRARY = ["resnet18", "mobilenet_v2", "densenet121", "efficientnet_b0"]


@pytest.mark.parametrize("name", [*networks.LARGE, *LIBRARY, "vgg11_bn"])
def test_groups_are_those_of_torch_pruning(name: str) -> None:
    torch.manual_seed(0)
    if name in networks.LARGE:
        model, image = networks.network(name), networks.example(name)
    else:
        image = torch.zeros(1, 3, 32, 32)
        model = vgg11_bn() if name == "vgg11_bn" else torchvision.models.get_model(name, weights=None, num_classes=5)
    found = trace(model, image)
    groups, dims = couplings(model.eval(), image)
    assert found.whole == {}
    assert list(found.groups.items()) == list(groups.items())
    assert {n: {dim: side.tolist() for dim, side in sides.items()} for n, sides in found.dims.items()} == dims


def test_resnet20_has_one_stream_per_stage() -> None:
    found = graph("resnet20")
    streams = {"stem.0": 8, "blocks.3.conv2": 16, "blocks.6.conv2": 32}
    inner = {f"blocks.{i}.conv1": 8 * 2 ** (i // 3) for i in range(9)}
    assert found.groups == streams | inner
    assert list(found.groups)[:2] == ["stem.0", "blocks.0.conv1"]


def test_tracing_leaves_the_model_alone() -> None:
    module = networks.network("resnet20").train()
    module.get_submodule("blocks.0").eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    modes = [layer.training for layer in module.modules()]
    networks.build_space(module, networks.example("resnet20"), "channel")
    assert modes == [layer.training for layer in module.modules()]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())
