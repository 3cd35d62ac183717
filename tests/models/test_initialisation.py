"""The initial law of what is neither convolution, linear layer nor norm, and that the known ones stay what they are."""

import copy
import hashlib
import math

import pytest
import torch
from torch import Tensor, nn

from benchmark.config.params import ModelRef
from benchmark.models import build, initialise


class Mixed(nn.Module):
    """A table drawn around zero, one drawn around two, constants, a frozen table, and a layer of attention."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(0.02 * torch.randn(1, 50, 40, generator=draw))
        self.shifted = nn.Parameter(2 + 0.5 * torch.randn(3000, generator=draw))
        self.scale = nn.Parameter(torch.full((7,), 1e-6))
        self.single = nn.Parameter(torch.tensor(3.5))
        self.frozen = nn.Parameter(torch.arange(5.0), requires_grad=False)
        self.relu = nn.PReLU()
        self.attention = nn.MultiheadAttention(64, 4)


def state(module: nn.Module, seed: int) -> dict[str, Tensor]:
    initialise(module, seed)
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_other_parameters_keep_the_law_of_their_constructor() -> None:
    drawn = state(Mixed(), 3)
    assert drawn["table"].std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(drawn["table"].mean().item()) < 4 * 0.02 / math.sqrt(2000)
    assert drawn["shifted"].mean().item() == pytest.approx(2, abs=0.04)
    assert drawn["shifted"].std().item() == pytest.approx(0.5, rel=0.05)
    assert drawn["scale"].tolist() == torch.full((7,), 1e-6).tolist()
    assert drawn["single"].item() == 3.5
    assert drawn["frozen"].tolist() == [0, 1, 2, 3, 4]
    assert drawn["relu.weight"].item() == 0.25
    # As a linear layer of 64 inputs.
    assert drawn["attention.in_proj_weight"].abs().max() <= 1 / 8
    assert drawn["attention.in_proj_weight"].std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.03)
    assert not drawn["attention.in_proj_bias"].any()
    assert not torch.equal(drawn["table"], Mixed().table)


def test_they_are_decided_by_seed_and_name_and_not_by_what_was_trained_since() -> None:
    one, two = Mixed(), Mixed()
    first = state(one, 3)
    with torch.no_grad():
        for parameter in one.parameters():
            if parameter.requires_grad:
                parameter.mul_(100).add_(1)
    assert equal(state(one, 3), first)
    assert equal(state(two, 3), first)
    assert not torch.equal(state(two, 4)["table"], first["table"])
    assert not torch.equal(first["table"].flatten()[:5], first["shifted"][:5])


def test_a_smaller_network_is_drawn_by_the_same_laws() -> None:
    whole = Mixed()
    initialise(whole, 0)
    small = copy.deepcopy(whole)
    small.table = nn.Parameter(torch.zeros(1, 50, 30))
    small.scale = nn.Parameter(torch.zeros(2))
    small.attention.in_proj_weight = nn.Parameter(torch.zeros(192, 16))
    drawn = state(small, 1)
    assert drawn["table"].std().item() == pytest.approx(0.02, rel=0.05)
    assert drawn["scale"].tolist() == torch.full((2,), 1e-6).tolist()
    assert 0.24 < drawn["attention.in_proj_weight"].abs().max() <= 1 / 4


def test_a_gain_of_a_convolution_is_reset_too() -> None:
    module = build(ModelRef(name="timm:test_nfnet"), 3, 5, 32)
    gains = [parameter for name, parameter in module.named_parameters() if name.endswith("gain")]
    before = [gain.clone() for gain in gains]
    with torch.no_grad():
        for gain in gains:
            gain.fill_(7)
    initialise(module, 0)
    assert gains
    assert all(torch.equal(gain, old) for gain, old in zip(gains, before, strict=True))


def test_building_leaves_torch_s_own_generator_alone_and_does_not_follow_it() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = build(ModelRef(name="timm:test_vit"), 1, 5, 32).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert equal(one, build(ModelRef(name="timm:test_vit"), 1, 5, 32).state_dict())


# The weights that committed results started from, in every bit.
DIGESTS = {
    ("own:vgg16", 0.125): "d4009831ab82f5d26e437860e77b311e",
    ("own:resnet20", 0.5): "25107d7fa84fcdb6ebae6fb567519adc",
}


@pytest.mark.parametrize(("name", "width"), DIGESTS)
def test_the_own_models_start_where_committed_results_did(name: str, width: float) -> None:
    module = build(ModelRef(name=name, width=width), 1, 5, 8)
    initialise(module, 11)
    digest = hashlib.sha256()
    for key, tensor in module.state_dict().items():
        digest.update(key.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    assert digest.hexdigest()[:32] == DIGESTS[name, width]
