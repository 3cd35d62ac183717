"""Masked and extracted networks compute the same, and cost what is counted, whatever couples their channels."""

import json
from copy import deepcopy
from typing import Any

import networks
import pytest
import torch
from coupled import COUPLED
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmark.models.loader import apply_changes
from benchmark.space import ChannelSpace, SearchSpace, count
from benchmark.space.graph.plain_run import plain_operators

NAMES = [*COUPLED, *networks.NAMES]
TOLERANCE = 1e-9


def masks(space: SearchSpace) -> list[Tensor]:
    """Masks that keep many units, few, one per group, and all of every other group."""
    alternate = torch.ones(space.n, dtype=torch.bool)
    for group in space.groups[::2]:
        alternate[space.offsets[group.name]] = torch.arange(group.size) == group.size - 1
    return [*(networks.random_mask(space, seed, share) for seed, share in enumerate([0.7, 0.4, 0.0])), alternate]


def flat(output: Any) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tree_leaves(output)])


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= TOLERANCE * other.abs().max().clamp_min(1e-30))


def step(model: nn.Module, parameters: dict[str, Tensor], images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs, and gradients of the parameters that have any, with a fixed loss."""
    output = flat(functional_call(model, parameters, (images,)))
    loss = (output * torch.linspace(-1, 1, len(output), dtype=output.dtype)).sum()
    leaves = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, [*leaves.values()], allow_unused=True)
    return output, {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}


@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize("training", [False, True])
def test_masked_and_extracted_agree(name: str, training: bool) -> None:
    space, model = networks.space(name, "channel"), networks.network(name).double().train(training)
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(5, *networks.example(name).shape[1:], dtype=torch.float64, generator=draw)
    for mask in masks(space):
        masked, extracted = deepcopy(model), space.extract(model, space.architecture(mask))
        there, expected = step(masked, space.gate(dict(masked.named_parameters()), mask.double()), images)
        here, found = step(extracted, dict(extracted.named_parameters()), images)
        assert close(here, there)
        expected = space.shrink(expected, mask)
        assert set(found) == set(expected)
        largest = max(gradient.abs().max() for gradient in expected.values())
        for entry, gradient in found.items():
            assert gradient.shape == expected[entry].shape
            assert (gradient - expected[entry]).abs().max() <= TOLERANCE * largest
        statistics = space.shrink(masked.state_dict(), mask)
        for entry, buffer in extracted.named_buffers():
            assert entry not in statistics or torch.allclose(buffer, statistics[entry], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", COUPLED)
def test_costs_are_what_is_counted(name: str) -> None:
    model, image = networks.network(name), networks.example(name)
    spaces = [networks.space(name, "channel", kind) for kind in ("params", "macs")]
    every = torch.ones(spaces[0].n, dtype=torch.bool)
    for mask in [*masks(spaces[0]), every]:
        extracted = spaces[0].extract(model, spaces[0].architecture(mask))
        params, macs = spaces[0].params(mask), spaces[0].macs(mask)
        assert count(extracted, image) == (params, macs)
        with plain_operators(extracted), FlopCounterMode(display=False) as counter:
            extracted(image)
        assert counter.get_total_flops() == 2 * macs
        for space, cost in zip(spaces, (params, macs), strict=True):
            assert space.cost(mask.double()).item() == space.exact_cost(mask) == cost
    a = torch.rand(spaces[0].n, dtype=torch.float64, generator=torch.Generator().manual_seed(4), requires_grad=True)
    assert all(torch.autograd.gradcheck(space.cost, a) for space in spaces)


@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize("kind", ["params", "macs"])
def test_budgets_are_met_from_below(name: str, kind: str) -> None:
    space = networks.space(name, "channel", kind)
    scores = torch.rand(space.n, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for share in (0.0, 0.3, 0.7, 1.0):
        budget = space.minimum + share * (1 - space.minimum)
        mask = space.project(scores, budget)
        assert space.complexity(mask) <= budget
        assert all(bool(part.any()) for part in space.unflatten(mask).values())
        dropped = torch.nonzero(~mask).flatten()
        if len(dropped):
            mask[dropped[scores[dropped].argmax()]] = True
            assert space.complexity(mask) > budget


@pytest.mark.parametrize("name", NAMES)
def test_shrunk_tensors_go_back_to_full_size(name: str) -> None:
    space, model = networks.space(name, "channel"), networks.network(name)
    state = model.state_dict()
    for mask in masks(space):
        shrunk = space.shrink(state, mask)
        restored = space.restore(shrunk, mask)
        assert {n: t.shape for n, t in restored.items()} == {n: t.shape for n, t in state.items()}
        again = space.shrink(restored, mask)
        assert all(torch.equal(again[n], tensor) for n, tensor in shrunk.items())
        # What is not kept is zero, what is kept is as it was.
        assert all(torch.equal(t, torch.where(t != 0, state[n], t)) for n, t in restored.items())
        extracted = space.extract(model, space.architecture(mask)).state_dict()
        assert list(extracted) == list(shrunk)
        assert all(torch.equal(extracted[n], tensor) for n, tensor in shrunk.items())


@pytest.mark.parametrize("name", NAMES)
def test_changes_make_the_extracted_network_from_a_fresh_one(name: str) -> None:
    space, model = networks.space(name, "channel"), networks.network(name).eval()
    for mask in masks(space)[1:]:
        changes = json.loads(json.dumps(space.changes(mask)))
        fresh = networks.network(name).eval()
        with torch.no_grad():
            for parameter in fresh.parameters():
                parameter.fill_(7)
        apply_changes(fresh, changes, space.shrink(model.state_dict(), mask))
        expected = space.extract(model, space.architecture(mask))
        images = torch.randn(2, *networks.example(name).shape[1:], generator=torch.Generator().manual_seed(3))
        assert torch.equal(flat(fresh(images)), flat(expected(images)))
        assert repr(fresh) == repr(expected)
        assert [n for n, _ in fresh.named_parameters()] == [n for n, _ in expected.named_parameters()]
        for module, other in zip(fresh.modules(), expected.modules(), strict=True):
            plain = {k: v for k, v in vars(module).items() if isinstance(v, int | tuple | str)}
            assert plain == {k: v for k, v in vars(other).items() if k in plain}


@pytest.mark.parametrize("name", COUPLED)
def test_single_weights_compute_and_cost_the_same(name: str) -> None:
    space, model = networks.space(name, "weight", "macs"), networks.network(name).double().eval()
    every = torch.ones(space.n)
    assert count(networks.network(name), networks.example(name)) == (space.params(every), space.macs(every))
    scores = torch.rand(space.n, generator=torch.Generator().manual_seed(5))
    images = torch.randn(2, *networks.example(name).shape[1:], dtype=torch.float64)
    for budget in (space.minimum, 0.9):
        mask = space.project(scores, budget)
        assert space.complexity(mask) <= budget
        assert space.cost(mask.double()).item() == space.macs(mask)
        extracted = space.extract(model, space.architecture(mask))
        gated = space.gate(dict(model.named_parameters()), mask.double())
        assert close(flat(extracted(images)), flat(functional_call(model, gated, (images,))))


def test_tied_weights_stay_tied() -> None:
    space, model = networks.space("TiedEmbedding", "channel"), networks.network("TiedEmbedding")
    assert isinstance(space, ChannelSpace)
    extracted = space.extract(model, space.architecture(space.mask_of_kept({"inner": 2})))
    assert extracted.get_parameter("scores.weight") is extracted.get_parameter("words.weight")
    assert extracted.get_parameter("scores.weight") is not model.get_parameter("scores.weight")
