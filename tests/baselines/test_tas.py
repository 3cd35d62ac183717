"""The distribution over sizes, its cost and dead band by hand, and a whole step of the search."""

import math
from itertools import product

import pytest
import torch
from problems import RECIPE, Normed, Residual, TwoConvolutions, problem, resnet
from torch import Tensor
from torch.nn import functional as F

from baselines.tas import TAS, Sizes, cost_loss, halves, temperature
from benchmark.pruning.elastic import Choices
from benchmark.pruning.gumbel import gumbel, without_replacement
from benchmark.pruning.interpolation import Interpolation
from benchmark.pruning.problem import Problem
from benchmark.pruning.shared_weights import SharedWeights
from benchmark.training.loop import loss_of

PLAIN = RECIPE.model_copy(
    update={"steps": 1, "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0, "clip": 1e9, "shift": 0}
)


def sizes_of(made: Problem, *logits: list[float]) -> Sizes:
    found = Sizes(Choices.of(made.space), made, 0)
    found.logits = [torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in logits] or found.logits
    return found


def test_the_dead_band_by_hand() -> None:
    for discrete, by in ((0.21, 1.0), (0.2, 0.0), (0.19, 0.0), (0.181, 0.0), (0.179, -1.0)):
        expected = torch.tensor(0.3, requires_grad=True)
        loss = cost_loss(expected, discrete, 0.2, 0.1)
        assert float(loss.detach()) == pytest.approx(by * math.log(0.3))
        # What is too dear becomes cheaper against this gradient, and what is too cheap dearer.
        (gradient,) = torch.autograd.grad(loss, expected)
        assert float(gradient) == pytest.approx(by / 0.3)


def test_the_temperature_falls_by_half_a_cosine() -> None:
    assert [temperature(step, 3, 5.0, 0.1) for step in range(3)] == pytest.approx([5.0, 2.55, 0.1])
    assert temperature(0, 1, 5.0, 0.1) == 5.0


def test_the_expected_complexity_by_hand() -> None:
    made = problem("channel", build=TwoConvolutions)  # of 2 and 3 channels
    sizes = sizes_of(made, [0.0, math.log(3)], [math.log(2), 0.0, 0.0])
    first, second = 0.25 * 1 + 0.75 * 2, 0.5 * 1 + 0.25 * 2 + 0.25 * 3
    cost = 10 * first + 9 * first * second + 3 * second + 3
    assert float(sizes.expected_complexity().detach()) == pytest.approx(cost / 86)
    assert sizes.likeliest().tolist() == [1, 0]


@pytest.mark.parametrize("build", [TwoConvolutions, Residual])
def test_it_is_the_mean_complexity_of_what_is_drawn(build: type) -> None:
    made = problem("channel", build=build)
    sizes = Sizes(Choices.of(made.space), made, 3)
    for logits in sizes.logits:
        logits.data.mul_(100)  # far from even
    shares = [logits.detach().softmax(0).tolist() for logits in sizes.logits]
    mean = 0.0
    for levels in product(*(range(int(top)) for top in sizes.choices.levels)):
        chance = math.prod(share[level] for share, level in zip(shares, levels, strict=True))
        mean += chance * sizes.choices.complexity(torch.tensor(levels))
    assert float(sizes.expected_complexity().detach()) == pytest.approx(mean)


def test_the_gates_of_a_stage_are_the_chances_that_its_depth_reaches_a_block() -> None:
    made = problem("block+channel", build=resnet)
    sizes = sizes_of(made)
    noise = gumbel(3, made.generator("sizes", 0))
    gates, mixtures = sizes.drawn(0.7)
    depth = ((sizes.logits[0].log_softmax(0) + noise) / 0.7).softmax(0).detach()
    torch.testing.assert_close(gates[:3].detach(), torch.stack([depth.sum(), depth[1:].sum(), depth[2]]).float())
    # Blocks have no channels to mix; every other group has.
    assert set(mixtures) == {group.name for group in made.space.groups[3:]}


def relaxed_loss(made: Problem, logits: list[Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    """The loss of the draw with the generator's first numbers, and twice the logarithm of the expected cost."""
    sizes = Sizes(Choices.of(made.space), made, 0)
    sizes.logits = logits
    gates, mixtures = sizes.drawn(1.5)
    state = Interpolation(made.space).mixed(made.initial(), mixtures)
    loss = loss_of(made.gated_logits(state, gates.double(), batch[0]), batch[1])
    return loss + 2 * cost_loss(sizes.expected_complexity(), 1.0, 0.5, 0.1)


def test_the_relaxation_has_the_gradient_of_finite_differences() -> None:
    made = problem("channel", build=TwoConvolutions)
    made.network.double()
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = images, torch.arange(6) % 3
    logits = [torch.tensor(one, dtype=torch.float64) for one in ([0.3, -0.2], [0.1, 0.4, -0.5])]
    leaves = [one.clone().requires_grad_() for one in logits]
    found = torch.autograd.grad(relaxed_loss(made, leaves, batch), leaves)
    for group, gradient in enumerate(found):
        for place in range(len(gradient)):
            ends = []
            for by in (1e-5, -1e-5):
                moved = [one.clone() for one in logits]
                moved[group][place] += by
                ends.append(float(relaxed_loss(made, moved, batch)))
            assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-9)
            assert abs(float(gradient[place])) > 1e-4


def drawn_by_hand(made: Problem, logits: Tensor, draws: torch.Generator, tau: float) -> tuple[int, list[int], Tensor]:
    """The larger width, both, and their shares, for the one group of four channels."""
    noisy = (logits.log_softmax(0) + gumbel(4, draws)) / tau
    pair = without_replacement(noisy, 2, draws)
    return max(pair) + 1, [one + 1 for one in pair], noisy[pair].softmax(0).float()


def loss_by_hand(weights: dict[str, Tensor], top: int, widths: list[int], shares: Tensor, batch: tuple) -> Tensor:  # type: ignore[type-arg]
    """The maps of both widths, pooled along their channels to the larger one and mixed, before the norm."""
    maps = F.conv2d(batch[0], weights["conv.weight"], padding=1)
    pooled = [F.adaptive_avg_pool3d(maps[:, None, :width], (top, 8, 8))[:, 0] for width in widths]
    mixed = sum(share * one for share, one in zip(shares, pooled, strict=True))
    normed = F.batch_norm(
        mixed, None, None, weights["norm.weight"][:top], weights["norm.bias"][:top], training=True
    ).relu()
    logits = F.linear(normed.mean((2, 3)), weights["head.weight"][:, :top], weights["head.bias"])
    return F.cross_entropy(logits, batch[1])


def test_one_step_by_hand() -> None:
    """Weights move on one half of the data, then the logits on the other, against loss and cost."""
    made = problem("channel", (0.5,), build=Normed, recipe=PLAIN)
    choices = Choices.of(made.space)
    sizes = Sizes(choices, made, 0)
    start = sizes.logits[0].detach().clone()
    pruner = TAS(TAS.Parameters(travel=0.25, logit_weight_decay=0.0))
    state = pruner._searched(made, sizes, made.initial(), 1, 0)

    draws = made.generator("sizes", 0)
    for_weights, for_logits = halves(made)
    weights = {name: made.initial()[name].requires_grad_() for name, _ in made.network.named_parameters()}
    (batch,) = made.batches(for_weights, PLAIN, "weights", 0)
    top, widths, shares = drawn_by_hand(made, start, draws, 5.0)
    gradients = torch.autograd.grad(loss_by_hand(weights, top, widths, shares, batch), list(weights.values()))
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        weights[name] = (weight - PLAIN.lr * gradient).detach()
        torch.testing.assert_close(state[name], weights[name], rtol=1e-4, atol=1e-5)

    leaf = start.clone().requires_grad_()
    (batch,) = made.batches(for_logits, PLAIN, "logits", 0)
    loss = loss_by_hand(weights, *drawn_by_hand(made, leaf, draws, 5.0), batch)
    # 9 + 2 parameters of a channel, 3 of the head for each, and 3 biases.
    share = leaf.softmax(0)
    cost = (14 * (share * torch.arange(1, 5)).sum() + 3) / 59
    discrete = (14 * (int(start.argmax()) + 1) + 3) / 59
    (gradient,) = torch.autograd.grad(loss + 2 * cost_loss(cost, discrete, 0.5, 0.1), leaf)
    # Adam's first step is as long as its learning rate, here the whole way.
    torch.testing.assert_close(sizes.logits[0].detach(), start - 0.25 * gradient.sign(), rtol=1e-3, atol=1e-5)
    assert made.flops == 2 * 3 * 2 * made.dense_macs * 12


def test_one_width_is_plain_training_on_half_of_the_data() -> None:
    made, plain = (problem("channel", (0.5,), build=Normed) for _ in range(2))
    sizes = Sizes(Choices.of(made.space, (1.0,)), made, 0)
    found = TAS()._searched(made, sizes, made.initial(), RECIPE.steps, 0)
    net = SharedWeights(plain, plain.initial(), RECIPE.steps)
    for images, labels in plain.batches(halves(plain)[0], net.recipe, "weights", 0):
        F.cross_entropy(net.logits(torch.ones(4), images), labels).backward()
        net.update()
    for name, tensor in net.copied().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)
    # There is nothing to choose.
    assert torch.equal(sizes.logits[0].detach().softmax(0), torch.ones(1, dtype=torch.float64))


def test_without_a_cost_the_budget_is_only_met_in_the_end() -> None:
    made = problem("channel", (0.5, 0.2), build=Residual)
    free = TAS(TAS.Parameters(cost_weight=0.0)).search(made)
    other = problem("channel", (0.4, 0.2), build=Residual)
    # Nothing in the search depends on the first budget then.
    assert free[0].notes == TAS(TAS.Parameters(cost_weight=0.0)).search(other)[0].notes


def test_halves_share_no_image() -> None:
    made = problem("channel")
    rows = [half.rows.tolist() for half in halves(made) if half.rows is not None]
    assert sorted(rows[0] + rows[1]) == list(range(30)) and len(rows[0]) == 15


def test_inverted_keeps_what_the_search_ranks_lowest() -> None:
    plain, inverted = (problem("channel", (0.5,), build=Residual, inverted=inverted) for inverted in (False, True))
    (kept,), (mirrored,) = (TAS().search(made) for made in (plain, inverted))
    assert inverted.asked_for_inversion and not torch.equal(kept.mask, mirrored.mask)
    # It is the same search, of which only the ranking is turned round.
    assert kept.notes == mirrored.notes and plain.flops == inverted.flops
