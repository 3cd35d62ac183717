import networks
import numpy as np
import torch

from benchmark.space.wiring import Wiring, trace


def wiring(name: str) -> Wiring:
    return trace(networks.network(name), networks.example(name))


def sides(found: Wiring) -> dict[tuple[str, str], list[int]]:
    return {(slot.layer, slot.side): slot.units.tolist() for slot in found.slots}


def test_a_chain_has_one_group_per_layer_and_none_for_the_classes() -> None:
    found = wiring("TwoConvolutions")
    assert found.groups == {"first": 2, "second": 3}
    assert found.whole == {}
    assert sides(found) == {
        ("first", "out"): [0, 1],
        ("second", "in"): [0, 1],
        ("second", "out"): [2, 3, 4],
        ("norm", "through"): [2, 3, 4],
        ("head", "in"): [2, 3, 4],
    }
    assert {name: sorted(dims) for name, dims in found.dims.items()} == {
        "first.weight": [0],
        "first.bias": [0],
        "second.weight": [0, 1],
        "norm.weight": [0],
        "norm.bias": [0],
        "norm.running_mean": [0],
        "norm.running_var": [0],
        "head.weight": [1],
    }


def test_a_residual_sum_couples_its_terms() -> None:
    found = wiring("Residual")
    assert found.groups == {"stem": 4, "inner": 2}
    assert sides(found)["outer", "out"] == sides(found)["stem", "out"] == sides(found)["head", "in"] == [0, 1, 2, 3]
    assert sides(found)["inner", "in"] == [0, 1, 2, 3]


def test_flattening_repeats_each_channel_for_every_position() -> None:
    assert sides(wiring("Flattened"))["hidden", "in"] == np.repeat([0, 1, 2], 4).tolist()


def test_concatenation_keeps_its_parts_apart() -> None:
    found = wiring("Concatenated")
    assert found.groups == {"left": 3, "right": 2, "join": 4}
    assert sides(found)["join", "in"] == sides(found)["norm", "through"] == [0, 1, 2, 3, 4]


def test_a_depthwise_convolution_passes_channels_through() -> None:
    found = wiring("Depthwise")
    assert found.groups == {"expand": 4, "project": 3}
    assert sides(found)["spatial", "through"] == sides(found)["project", "in"] == [0, 1, 2, 3]


def test_what_touches_a_grouped_convolution_stays_whole() -> None:
    found = wiring("Grouped")
    assert found.groups == {"last": 3}
    assert found.whole == dict.fromkeys(["first", "grouped"], "runs through a grouped convolution")


def test_units_that_reach_a_layer_in_parts_stay_whole() -> None:
    found = wiring("SumOfConcatenation")
    assert found.groups == {"last": 3}
    assert found.whole == {"whole": "reaches right with a part of its units, or unequally often"}


def test_a_shared_layer_couples_what_it_reads() -> None:
    found = wiring("Siamese")
    assert found.groups == {"left": 4, "shared": 3}
    assert sides(found)["left", "out"] == sides(found)["right", "out"] == sides(found)["shared", "in"] == [0, 1, 2, 3]


def test_a_layer_used_twice_in_a_row_couples_its_ends() -> None:
    found = wiring("Repeated")
    assert found.groups == {"stem": 4, "last": 3}
    assert sides(found)["twice", "in"] == sides(found)["twice", "out"] == [0, 1, 2, 3]


def test_a_convolutional_classifier_is_not_pruned() -> None:
    assert wiring("ConvolutionalClassifier").groups == {"features": 4}


def test_resnet20_has_one_stream_per_stage() -> None:
    found = wiring("resnet20")
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
