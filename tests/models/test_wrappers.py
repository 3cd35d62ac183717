"""What PyTorch wraps around a network goes, and so do the prefixes that it gives to names."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from benchmark.models.wrappers import unprefixed, unwrapped


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))


def distributed(inner: nn.Module) -> nn.Module:
    """The wrapper without a process group, which its constructor wants."""
    wrapper = DistributedDataParallel.__new__(DistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = inner
    return wrapper


WRAPPERS: dict[str, Any] = {
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": distributed,
    "compile": torch.compile,
    "both": lambda inner: nn.DataParallel(torch.compile(inner)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_network_within_a_wrapper_is_found_and_so_are_its_weights(name: str) -> None:
    inner = network()
    wrapped = WRAPPERS[name](inner)
    assert unwrapped(wrapped) is inner
    state = wrapped.state_dict()
    own = unprefixed(state, inner.state_dict())
    assert state.keys() != own.keys() == inner.state_dict().keys()
    assert all(own[key] is state[prefixed] for key, prefixed in zip(own, state, strict=True))


def test_an_averaged_model_is_its_average() -> None:
    averaged = AveragedModel(network())
    assert unwrapped(averaged) is averaged.module
    assert list(unprefixed(averaged.state_dict(), network().state_dict())) == list(network().state_dict())


def test_what_is_no_wrapper_stays() -> None:
    inner = network()
    assert unwrapped(inner) is inner
    assert unwrapped(None) is None


def test_a_network_s_own_module_called_module_keeps_its_name() -> None:
    """A prefix is a wrapper's only where the network knows no such names, and all of the file's have it."""
    own = nn.ModuleDict({"module": nn.Linear(2, 2)})
    assert unprefixed(own.state_dict(), own.state_dict()).keys() == own.state_dict().keys()
    half = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert unprefixed(half, ["a", "b"]).keys() == half.keys()
    assert unprefixed({}, ["a"]) == {}
