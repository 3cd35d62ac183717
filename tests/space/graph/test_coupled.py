"""Couplings of every kind, counted by hand: which groups there are, what they govern, what stays whole and why."""

import networks
import pytest
import torch
from coupled import COUPLED

from benchmark.space import ChannelSpace, count
from benchmark.space.graph.dependencies import DependencyGraph

# The groups that are admitted, and for those that stay whole a part of the reason.
GROUPS: dict[str, tuple[dict[str, int], dict[str, str]]] = {
    "Transformer": ({"embed": 5, "attn.qkv": 3}, {}),
    "RelativeBias": ({"embed": 5, "attn.qkv": 3}, {}),
    "ClassToken": ({"embed": 5, "attn.qkv": 3}, {}),
    "SeparateAttention": ({"embed": 5, "attn.q": 2}, {}),
    "LibraryAttention": ({"embed": 6, "attn.in_proj_weight": 3, "hidden": 4}, {}),
    "GatedUnit": ({"both": 3}, {}),
    "SqueezeExcite": ({"stem": 4, "reduce": 2}, {}),
    "GroupedInFour": ({"stem": 4}, {}),
    "DepthwiseMultiplied": ({"stem": 3}, {}),
    "GroupNormed": ({"stem": 3}, {}),
    "LayerNormed": ({"hidden": 3}, {"stem": "its channels can only go together: layer norm in norm mixes them"}),
    "Shuffled": ({"hidden": 3}, {"stem": "cannot be cut: `return x.view(count, 2, channels // 2, height, width)"}),
    "MeanOverChannels": ({"hidden": 3}, {"stem": "a mean or maximum in the network itself mixes them"}),
    "Fourier": ({"hidden": 3}, {"stem": "runs through _fft_"}),
    "FixedReshape": ({"stem": 4, "hidden": 3}, {}),
    "Standardised": ({"hidden": 3}, {"stem": "runs through a convolution with computed weights in second"}),
    "LayerScaled": ({"stem": 4, "hidden": 3}, {}),
    "ParametricRelu": ({"stem": 4, "hidden": 3}, {}),
    "PartialSum": ({"stem": 2, "stem:2": 2, "hidden": 3}, {}),
    "PaddedChannels": ({"stem": 4, "hidden": 3}, {"wider": "cannot be cut: `return F.pad(x, (0, 0, 0, 0, 1, 1))"}),
    "Dense": ({"stem": 3, "first": 2, "second": 2}, {}),
    "Transposed": ({"down": 4, "up": 3}, {}),
    "Mixer": (
        {"tokens.0": 3, "channels.0": 6},
        {"embed": "runs through a product along another dimension in tokens.0"},
    ),
    "TiedEmbedding": ({"inner": 3}, {"outer": "cannot be cut: `return self.scores("}),
    "LinearLayers": ({"1": 5, "4": 4}, {}),
    "OneDimensional": ({"first": 3, "second": 5}, {}),
    "TwoOutputs": ({"stem": 4}, {"features": "is the network's output"}),
    "TiedLayers": ({"weight": 4, "weight:2": 3}, {}),
}
HEADS = [5, 5, 6, 6, 7, 7]
EMBEDDING = [0, 1, 2, 3, 4]
# Governed dimensions worth a look, as units numbered over all groups; None: not governed.
SIDES: dict[str, dict[tuple[str, int], list[int] | None]] = {
    "Transformer": {
        ("attn.qkv.weight", 0): 3 * HEADS,
        ("attn.qkv.weight", 1): EMBEDDING,
        ("attn.proj.weight", 0): EMBEDDING,
        ("attn.proj.weight", 1): HEADS,
        ("attn.proj.bias", 0): EMBEDDING,
        ("head.weight", 1): EMBEDDING,
    },
    "RelativeBias": {("attn.table", 0): None, ("attn.table", 1): [5, 6, 7]},
    # As many tokens as channels: the table of places is cut along its channels only.
    "ClassToken": {
        ("attn.qkv.weight", 0): 3 * [5, 5, 6, 6, 7, 7],
        ("attn.qkv.weight", 1): [0, 1, 2, 3, 4],
        ("places", 1): None,
        ("places", 2): [0, 1, 2, 3, 4],
    },
    "SeparateAttention": {
        ("attn.k.weight", 0): [5] * 3 + [6] * 3,
        ("attn.v.bias", 0): [5] * 4 + [6] * 4,
        ("attn.out.weight", 1): [5] * 4 + [6] * 4,
    },
    "LibraryAttention": {
        ("attn.in_proj_bias", 0): 3 * [6, 6, 7, 7, 8, 8],
        ("attn.in_proj_weight", 1): [0, 1, 2, 3, 4, 5],
        ("attn.out_proj.weight", 1): [6, 6, 7, 7, 8, 8],
    },
    "GatedUnit": {("both.weight", 0): [0, 1, 2, 0, 1, 2], ("head.weight", 1): [0, 1, 2]},
    "SqueezeExcite": {("expand.weight", 0): [0, 1, 2, 3], ("expand.weight", 1): [4, 5], ("reduce.bias", 0): [4, 5]},
    "GroupedInFour": {
        ("stem.bias", 0): [0, 0, 1, 1, 2, 2, 3, 3],
        ("grouped.weight", 0): [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
        ("grouped.weight", 1): None,
        ("head.weight", 1): [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
    },
    "DepthwiseMultiplied": {("spatial.weight", 0): [0, 0, 1, 1, 2, 2], ("norm.running_mean", 0): [0, 0, 1, 1, 2, 2]},
    "GroupNormed": {("norm.weight", 0): [0, 0, 1, 1, 2, 2], ("head.weight", 1): [0, 0, 1, 1, 2, 2]},
    "LayerScaled": {("gamma", 0): [0, 1, 2, 3], ("branch.weight", 0): [0, 1, 2, 3], ("branch.weight", 1): [0, 1, 2, 3]},
    "ParametricRelu": {("act.weight", 0): [0, 1, 2, 3], ("same.weight", 0): None},
    "PartialSum": {("side.weight", 0): [0, 1], ("stem.weight", 0): [0, 1, 2, 3], ("hidden.weight", 1): [0, 1, 2, 3]},
    "PaddedChannels": {
        ("wider.weight", 0): [-1, 0, 1, 2, 3, -1],
        ("wider.weight", 1): [0, 1, 2, 3],
        ("hidden.weight", 1): [-1, 0, 1, 2, 3, -1],
    },
    "Dense": {("second.weight", 1): [0, 1, 2, 3, 4], ("head.weight", 1): [0, 1, 2, 3, 4, 5, 6]},
    "Transposed": {("up.weight", 0): [0, 1, 2, 3], ("up.weight", 1): [4, 5, 6], ("up.bias", 0): [4, 5, 6]},
    "Mixer": {("tokens.2.weight", 1): [0, 1, 2], ("tokens.2.weight", 0): None, ("channels.0.weight", 1): None},
    "OneDimensional": {("second.weight", 1): [0, 1, 2], ("norm.bias", 0): [3, 4, 5, 6, 7]},
    "TiedLayers": {("weight", 0): [4, 5, 6], ("weight", 1): [0, 1, 2, 3], ("head.weight", 1): [0, 1, 2, 3]},
}


def space(name: str) -> ChannelSpace:
    found = networks.space(name, "channel")
    assert isinstance(found, ChannelSpace)
    return found


def units(found: DependencyGraph, tensor: str, dim: int) -> list[int] | None:
    dims = found.dims.get(tensor, {})
    return dims[dim].tolist() if dim in dims else None


def test_every_network_is_looked_at() -> None:
    assert list(GROUPS) == list(COUPLED)


@pytest.mark.parametrize("name", GROUPS)
def test_groups_and_reasons(name: str) -> None:
    groups, reasons = GROUPS[name]
    found = space(name).graph
    assert found.groups == groups
    assert list(found.whole) == list(reasons)
    assert all(reason in found.whole[group] for group, reason in reasons.items())


@pytest.mark.parametrize("name", SIDES)
def test_governed_dimensions(name: str) -> None:
    found = space(name).graph
    assert {side: units(found, *side) for side in SIDES[name]} == SIDES[name]


def test_operations_that_cut_at_a_place_are_known() -> None:
    assert space("Transformer").graph.cuts == {"attn.qkv": "unbind in attn"}
    assert space("PartialSum").graph.cuts == {"stem": "slice in the network itself"}
    assert space("Dense").graph.cuts == {}


def test_attention_costs_what_is_counted_by_hand() -> None:
    found = space("Transformer")
    for width, heads in [(5, 3), (4, 2), (1, 1), (5, 1), (2, 3)]:
        mask = found.mask_of_kept({"embed": width, "attn.qkv": heads})
        attended = 2 * heads
        # embed 4 taps and a bias, qkv without bias, proj, head.
        assert found.params(mask) == 5 * width + 3 * attended * width + attended * width + width + 2 * width + 2
        # Four tokens; per head two products of 4 x 2 with 2 x 4 entries.
        assert found.macs(mask) == 4 * (4 + 4 * attended) * width + heads * 2 * 32 + 2 * width


def test_grouped_convolutions_cost_what_is_counted_by_hand() -> None:
    found = space("GroupedInFour")
    # Per group two channels of the stem, three outputs with nine taps on each of the two.
    for groups in (1, 2, 4):
        mask = found.mask_of_kept({"stem": groups})
        assert found.params(mask) == groups * (2 + 2 + 3 * 18 + 3 + 2 * 3) + 2
        assert found.macs(mask) == groups * (16 * (2 + 3 * 18) + 2 * 3)


def test_a_mixer_costs_what_is_counted_by_hand() -> None:
    found = space("Mixer")
    for tokens, channels in [(3, 6), (1, 2), (2, 1)]:
        mask = found.mask_of_kept({"tokens.0": tokens, "channels.0": channels})
        hidden = (4 * tokens + tokens) + (4 * tokens + 4) + (5 * channels + channels) + (5 * channels + 5)
        assert found.params(mask) == 25 + hidden + 12
        # Tokens are mixed for each of five channels, channels for each of four tokens.
        assert found.macs(mask) == 4 * 20 + 5 * 8 * tokens + 4 * 10 * channels + 10


def test_the_share_is_of_the_parameters_in_units() -> None:
    # stem 8, hidden 15, head 8; of the head all but two biases, of the stem (whole) nothing.
    found = space("MeanOverChannels")
    assert found.share == (15 + 6) / (40 + 15 + 8)
    assert space("GroupNormed").share == (60 + 12 + 12) / (60 + 12 + 14)
    assert count(networks.network("GroupNormed"), networks.example("GroupNormed"))[0] == 86


def changed(name: str, **kept: int) -> dict[str, dict[str, object]]:
    """What extraction sets, by module; a replacement as the attribute `replace`."""
    found = space(name)
    sizes = {group.name: group.size for group in found.groups}
    mask = found.mask_of_kept(sizes | {group.replace("_", "."): size for group, size in kept.items()})
    changes = {change.pop("module"): change for change in found.changes(mask)}
    return {
        module: change["set"] | ({"replace": change["replace"]} if "replace" in change else {})
        for module, change in changes.items()
    }


def test_attributes_that_state_a_width_follow() -> None:
    assert changed("Transformer", attn_qkv=2) == {
        "attn": {"num_heads": 2, "attn_dim": 4},
        "attn.qkv": {"in_features": 5, "out_features": 12},
        "attn.proj": {"in_features": 4, "out_features": 5},
    }
    assert changed("Transformer", embed=3) == {
        "embed": {"out_channels": 3},
        "attn.qkv": {"in_features": 3, "out_features": 18},
        "attn.proj": {"in_features": 6, "out_features": 3},
        "head": {"in_features": 3},
    }
    assert changed("SeparateAttention", attn_q=1)["attn"] == {"heads": 1}
    assert changed("GroupedInFour", stem=3) == {
        "stem": {"out_channels": 6},
        "grouped": {"groups": 3, "in_channels": 6, "out_channels": 9},
        "head": {"in_features": 9},
    }
    assert changed("DepthwiseMultiplied", stem=2) == {
        "stem": {"out_channels": 2},
        "spatial": {"groups": 2, "in_channels": 2, "out_channels": 4},
        "norm": {"num_features": 4},
        "head": {"in_features": 4},
    }
    assert changed("GroupNormed", stem=1)["norm"] == {"num_groups": 1, "num_channels": 2}
    assert changed("ParametricRelu", stem=3)["act"] == {"num_parameters": 3}
    assert changed("Transposed", down=2, up=1)["up"] == {"in_channels": 2, "out_channels": 1}
    assert changed("OneDimensional", second=2)["norm"] == {"num_features": 2}
    assert changed("LayerScaled", stem=4) == {}


def test_attention_of_the_library_is_replaced_when_any_of_its_tensors_is_cut() -> None:
    assert changed("LibraryAttention", embed=2) == {
        "embed": {"out_channels": 2},
        "attn": {"num_heads": 3, "replace": "attention"},
        "attn.out_proj": {"in_features": 6, "out_features": 2},
        "hidden": {"in_features": 2, "out_features": 4},
    }
    assert "attn" not in changed("LibraryAttention", hidden=2)
    mask = space("LibraryAttention").mask_of_kept({"embed": 6, "attn.in_proj_weight": 2, "hidden": 4})
    assert space("LibraryAttention").changes(mask) == [
        {"module": "attn", "replace": "attention", "set": {"num_heads": 2}},
        {"module": "attn.out_proj", "set": {"out_features": 6, "in_features": 4}},
    ]


def test_extracted_modules_say_what_they_are() -> None:
    found, model = space("GroupedInFour"), networks.network("GroupedInFour")
    extracted = found.extract(model, found.architecture(found.mask_of_kept({"stem": 3})))
    grouped = extracted.get_submodule("grouped")
    assert isinstance(grouped, torch.nn.Conv2d)
    assert (grouped.groups, grouped.in_channels, grouped.out_channels) == (3, 6, 9)
    assert tuple(grouped.weight.shape) == (9, 2, 3, 3)
