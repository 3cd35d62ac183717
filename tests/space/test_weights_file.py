import networks
import pytest
import torch
from safetensors.torch import load

from benchmark.errors import BenchError
from benchmark.space import pack_state, unpack_state

CASES = [(name, granularity) for name in networks.NAMES for granularity in ("channel", "weight")]


@pytest.mark.parametrize(("name", "granularity"), CASES)
def test_round_trip_gives_the_same_sub_network(name: str, granularity: str) -> None:
    space, model = networks.space(name, granularity), networks.network(name)
    mask = networks.random_mask(space, 0, 0.2)
    content = pack_state(space, mask, model.state_dict())
    state = unpack_state(space, mask, content)
    assert {n: (t.shape, t.dtype) for n, t in state.items()} == {
        n: (t.shape, t.dtype) for n, t in model.state_dict().items()
    }

    architecture = space.architecture(mask)
    restored = networks.network(name)
    restored.load_state_dict({n: torch.full_like(t, 7) for n, t in state.items()})
    restored.load_state_dict(state)
    expected = space.extract(model, architecture).state_dict()
    found = space.extract(restored, architecture).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[n], expected[n]) for n in expected)
    assert content == pack_state(space, mask, state)


def test_channel_files_are_the_extracted_state_dict() -> None:
    space, model = networks.space("resnet20", "channel"), networks.network("resnet20")
    mask = networks.random_mask(space, 3)
    stored = load(pack_state(space, mask, model.state_dict()))
    extracted = space.extract(model, space.architecture(mask))
    extracted.load_state_dict(stored)
    assert all(torch.equal(stored[n], t) for n, t in extracted.state_dict().items())


def test_only_what_is_kept_is_stored_and_the_rest_is_zero() -> None:
    space, model = networks.space("TwoConvolutions", "channel"), networks.network("TwoConvolutions")
    mask = torch.tensor([False, True, True, False, True])
    state = unpack_state(space, mask, pack_state(space, mask, model.state_dict()))
    weight = model.get_parameter("second.weight")
    expected = torch.zeros_like(weight)
    expected[[0, 2], 1] = weight[[0, 2], 1]
    assert torch.equal(state["second.weight"], expected)
    assert state["norm.running_var"][1] == 0

    space = networks.space("vgg16", "weight")
    mask = space.project(torch.rand(space.n), 0.02)
    content = pack_state(space, mask, networks.network("vgg16").state_dict())
    assert len(content) < 0.1 * 4 * space.n


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_trained_sub_network_goes_back_to_full_size(granularity: str) -> None:
    space, model = networks.space("Residual", granularity), networks.network("Residual")
    mask = networks.random_mask(space, 2)
    extracted = space.extract(model, space.architecture(mask))
    factors = space.weight_masks(mask)
    with torch.no_grad():
        for name, parameter in extracted.named_parameters():
            parameter.add_(1).mul_(factors.get(name, torch.tensor(1.0)))
    model.load_state_dict(space.embed(extracted.state_dict(), mask))
    again = space.extract(model, space.architecture(mask)).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in extracted.state_dict().items())
    assert sum(int(factor.sum()) for factor in factors.values()) == (int(mask.sum()) if granularity == "weight" else 0)


def test_files_that_do_not_belong_are_refused() -> None:
    space, model = networks.space("TwoConvolutions", "channel"), networks.network("TwoConvolutions")
    mask = torch.tensor([True, False, True, True, False])
    content = pack_state(space, mask, model.state_dict())
    with pytest.raises(BenchError, match=r"^w.safetensors: weights of another architecture"):
        unpack_state(space, ~mask, content, "w.safetensors")
    other = networks.space("Residual", "channel")
    with pytest.raises(BenchError, match="weights of another large model"):
        unpack_state(other, torch.ones(other.n), content)
    with pytest.raises(BenchError, match="truncated"):
        unpack_state(space, mask, content[:-4])
    with pytest.raises(BenchError, match="not one with a dapbench weights"):
        unpack_state(space, mask, space.architecture(mask).content())
    with pytest.raises(BenchError, match="give that model's full state dict"):
        pack_state(space, mask, networks.network("Residual").state_dict())
