"""Training in bfloat16: what is rounded and what is not."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config.params import Recipe
from benchmark.training import loop
from benchmark.training.loop import at_least_single, fit, loss_of


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear() -> nn.Linear:
    network = nn.Linear(9, 3)
    with torch.no_grad():
        network.weight.copy_(torch.randn(3, 9, generator=generator(0)))
        network.bias.zero_()
    return network


def examples(steps: int) -> list[tuple[Tensor, Tensor]]:
    draw = generator(9)
    return [(torch.randn(6, 9, generator=draw), torch.randint(0, 3, (6,), generator=draw)) for _ in range(steps)]


def test_the_forward_pass_is_bfloat16_and_the_loss_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(steps=3, batch=6, lr=0.3, label_smoothing=0.1, precision="bfloat16")
    # Eighths are exact in bfloat16 and so are their sums; what is added to the weights is less than it can tell.
    draw = generator(2)
    eighths = torch.randint(-3, 4, (3, 9), generator=draw) / 8
    network = linear()
    with torch.no_grad():
        network.weight.copy_(eighths * (1 + 2**-10))
    data = [
        (torch.randint(-2, 3, (6, 9), generator=draw).float(), torch.randint(0, 3, (6,), generator=draw))
        for _ in range(3)
    ]
    said: list[torch.dtype] = []
    judged: list[torch.dtype] = []
    losses: list[float] = []

    def forward(images: Tensor) -> Tensor:
        logits: Tensor = network(images)
        said.append(logits.dtype)
        return logits

    def spy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        judged.append(logits.dtype)
        return loss_of(logits, labels, smoothing)

    monkeypatch.setattr(loop, "loss_of", spy)
    images, labels = data[0]
    expected, unrounded = (
        float(F.cross_entropy(images @ weight.T, labels, label_smoothing=0.1).detach())
        for weight in (eighths, network.weight)
    )
    fit(forward, dict(network.named_parameters()), data, recipe, on_step=lambda _, loss: losses.append(loss))
    assert said == [torch.bfloat16] * 3 and judged == [torch.float32] * 3
    assert losses[0] == pytest.approx(expected, rel=1e-6)
    assert unrounded != pytest.approx(expected, rel=1e-6)


def test_training_in_bfloat16_is_close_to_float32_but_not_equal() -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        network = linear()
        recipe = Recipe(steps=20, batch=6, lr=0.1, precision=precision)
        fit(network, dict(network.named_parameters()), examples(20), recipe)
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
        found[precision] = network.weight.detach() - linear().weight.detach()
    single, half = found["float32"], found["bfloat16"]
    assert not torch.equal(single, half)
    assert 0 < float((single - half).norm() / single.norm()) < 0.05


def test_logits_are_never_less_than_single() -> None:
    for given, kept in (
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert at_least_single(torch.zeros(2, dtype=given)).dtype == kept
