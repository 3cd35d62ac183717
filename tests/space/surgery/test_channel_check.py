from dataclasses import replace

import networks
import numpy as np
import torch
from torch import nn

from benchmark.space.graph.dependencies import DependencyGraph, Indices, trace
from benchmark.space.surgery.channel_check import _kept, _kinds, admitted, operation, shake
from benchmark.space.surgery.mask_and_cut import extracted
from benchmark.space.surgery.module_edits import changes, homes


def graph(name: str) -> DependencyGraph:
    return trace(networks.network(name), networks.example(name))


def governed(found: DependencyGraph, tensor: str, dims: dict[int, Indices]) -> DependencyGraph:
    """The dependency graph with other units behind a tensor's dimensions."""
    return replace(found, dims={**found.dims, tensor: dims})


def admission(name: str, found: DependencyGraph) -> DependencyGraph:
    return admitted(networks.network(name), networks.example(name), found)


def test_what_is_right_is_admitted_as_it_is() -> None:
    for name in ("resnet20", "Dense", "Transformer"):
        found = graph(name)
        assert admission(name, found) is found


def test_a_group_cut_in_the_wrong_order_is_rejected() -> None:
    found = graph("Residual")
    wrong = governed(found, "outer.weight", found.dims["outer.weight"] | {1: np.asarray([5, 4])})
    result = admission("Residual", wrong)
    assert result.groups == {"stem": 4}
    assert list(result.whole) == ["inner"]
    assert result.whole["inner"].startswith("cutting its channels is not masking them (outputs differ by ")
    assert list(result.dims["outer.weight"]) == [0]
    assert result.readers == (("inner.weight", 1), ("head.weight", 1))


def test_a_group_that_forgets_a_tensor_is_rejected_with_the_line_that_fails() -> None:
    found = graph("Residual")
    wrong = governed(found, "outer.bias", {})
    result = admission("Residual", wrong)
    assert result.groups == {"inner": 2}
    reason = result.whole["stem"]
    assert reason.startswith("cannot be cut: `") and "self.outer(self.inner(stream.relu()).relu())" in reason
    assert "networks.py" in reason and "\n" not in reason


def test_the_operation_that_cuts_at_a_place_is_named() -> None:
    found = graph("PartialSum")
    wrong = governed(found, "hidden.weight", found.dims["hidden.weight"] | {1: np.asarray([1, 0, 2, 3])})
    result = admission("PartialSum", wrong)
    assert result.groups == {"stem:2": 2, "hidden": 3}
    assert result.whole["stem"].endswith(", by slice in the network itself)")


def test_one_wrong_group_among_many_of_its_kind_is_found() -> None:
    found = graph("resnet20")
    reader = "blocks.4.conv2.weight"
    wrong = governed(found, reader, found.dims[reader] | {1: found.dims[reader][1][::-1].copy()})
    result = admission("resnet20", wrong)
    assert list(result.whole) == ["blocks.4.conv1"]
    assert list(result.groups) == [name for name in found.groups if name != "blocks.4.conv1"]
    # The units are numbered anew.
    units = {unit for dims in result.dims.values() for side in dims.values() for unit in side.tolist()}
    assert units == set(range(sum(result.groups.values())))


def test_groups_of_one_kind_are_cut_from_the_same_layers_of_different_blocks() -> None:
    kinds = _kinds(graph("resnet20"))
    inner = [f"blocks.{i}.conv1" for i in range(9)]
    assert inner in kinds
    assert sorted(name for kind in kinds for name in kind) == sorted(graph("resnet20").groups)


def test_choices_of_units_that_places_cannot_balance() -> None:
    for size in (2, 3, 4, 8, 16, 33):
        for seed in range(20):
            some, last, first = _kept(size, seed, torch.Generator().manual_seed(seed))
            assert (int(some.sum()) % 2 == 1 or size < 8) and not some[-1] and (int(some.sum()) > 1 or size < 4)
            few = int(last.sum())
            assert min(2, size // 2) <= few <= size // 2 and (size < 8 or size % few)
            assert last.tolist() == [False] * (size - few) + [True] * few == first.tolist()[::-1]


def test_a_shaken_network_has_no_silent_part() -> None:
    model = networks.network("resnet20")
    for name, parameter in model.named_parameters():
        if "bn" in name or "norm" in name:
            nn.init.zeros_(parameter)
    shake(model, networks.example("resnet20"))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            assert int(tensor.count_nonzero()) == tensor.numel(), name
    assert all(bool((v > 0).all()) for n, v in model.named_buffers() if n.endswith("running_var"))


def test_the_model_is_left_alone() -> None:
    model = networks.network("resnet20").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    admitted(model, networks.example("resnet20"), graph("resnet20"))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training and next(model.parameters()).dtype == torch.float32


def test_an_error_is_told_by_the_line_of_the_models_own_code() -> None:
    try:
        nn.Linear(3, 2)(torch.zeros(1, 4))
    except RuntimeError as error:
        told = operation(error)
    assert told.startswith("`nn.Linear(3, 2)(torch.zeros(1, 4))` in test_channel_check.py (")


def test_the_smallest_module_that_holds_a_group() -> None:
    assert homes(graph("Transformer")) == ["", "attn"]
    assert homes(graph("LibraryAttention")) == ["", "attn", ""]
    assert homes(graph("Mixer")) == ["tokens", "channels"]
    assert homes(graph("GatedUnit")) == [""]


def test_changes_of_nothing_are_none() -> None:
    for name in ("Transformer", "LibraryAttention", "GroupedInFour"):
        found = graph(name)
        assert changes(networks.network(name), found, np.ones(sum(found.groups.values()), dtype=bool)) == []


def test_tensors_that_are_not_cut_are_shared_only_when_asked() -> None:
    model, found = networks.network("TwoConvolutions"), graph("TwoConvolutions")
    mask = torch.tensor([True, False, True, True, True])
    shared, own = extracted(model, found, mask, own=False), extracted(model, found, mask)
    assert shared.get_parameter("head.bias").data_ptr() == model.get_parameter("head.bias").data_ptr()
    assert own.get_parameter("head.bias").data_ptr() != model.get_parameter("head.bias").data_ptr()
    assert tuple(own.get_parameter("second.weight").shape) == (3, 1, 3, 3)
