"""The supernet's training, the choice of what to measure next, and what a budget takes."""

import torch
from problems import RECIPE, Normed, Residual, problem, space_of
from torch.nn import functional as F

from baselines.predictor_search import PredictorSearch, best, distillation, fresh, sandwich
from benchmark.pruning.elastic import Choices
from benchmark.pruning.shared_weights import SharedWeights


def settings(**values: int) -> PredictorSearch:
    return PredictorSearch(
        PredictorSearch.Parameters(**{"evaluations": 6, "population": 4, "generations": 2, **values})
    )


def test_distillation_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    p, q = teacher.softmax(-1), student.softmax(-1)
    torch.testing.assert_close(distillation(student, teacher), (p * (p / q).log()).sum() / 2)


def test_distillation_has_the_gradient_of_finite_differences() -> None:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(lambda logits: distillation(logits, teacher), (student.requires_grad_(),))


def test_one_step_by_hand() -> None:
    """The gradients of the largest, the smallest and the random sub-network add up in one step."""
    recipe = RECIPE.model_copy(update={"steps": 1, "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0, "clip": 1e9})
    made = problem("channel", build=Residual, recipe=recipe)
    choices = Choices.of(made.space)
    found = sandwich(made, choices, 1, 1)
    weights = {n: t.requires_grad_() for n, t in made.initial().items()}
    (images, labels), *_ = made.batches(made.train, recipe, "supernet")
    full = made.gated_logits(weights, torch.ones(6), images)
    loss = F.cross_entropy(full, labels)
    for levels in (choices.smallest(), choices.drawn(made.generator("sandwich"))):
        small = made.gated_logits(weights, choices.mask(levels).float(), images)
        teacher = full.detach().softmax(-1)
        loss = loss + (teacher * (teacher.log() - small.log_softmax(-1))).sum(1).mean()
    gradients = torch.autograd.grad(loss, list(weights.values()))
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        torch.testing.assert_close(found[name], weight.detach() - recipe.lr * gradient, rtol=1e-4, atol=1e-6)
    assert made.flops == 3 * 2 * made.dense_macs * 3 * len(labels)


def test_one_width_everywhere_is_plain_training() -> None:
    """Sub-networks that are all the large model agree with it: their losses have no gradient."""
    made, plain = problem("channel", build=Normed), problem("channel", build=Normed)
    found = sandwich(made, Choices.of(made.space, (1.0,)), RECIPE.steps, 2)
    net = SharedWeights(plain, plain.initial(), RECIPE.steps)
    for images, labels in plain.batches(plain.train, net.recipe, "supernet"):
        F.cross_entropy(net.logits(torch.ones(4), images), labels).backward()
        net.update()
    for name in net.names:
        torch.testing.assert_close(found[name], net.copied()[name], rtol=1e-3, atol=1e-5)


def test_a_budget_takes_the_most_accurate_that_fits() -> None:
    choices = Choices.of(space_of(Residual, "channel"))
    measured = {(0, 0): 0.2, (1, 0): 0.5, (1, 1): 0.5, (3, 1): 0.9}
    complexity = {levels: choices.complexity(torch.tensor(levels)) for levels in measured}
    assert best(choices, measured, 1.0) == (3, 1)
    assert best(choices, measured, complexity[1, 1]) == (1, 1)  # as accurate as the smaller one
    assert best(choices, measured, complexity[1, 0]) == (1, 0)
    assert best(choices, measured, complexity[0, 0]) == (0, 0)


def test_only_new_architectures_are_measured() -> None:
    top = torch.tensor([3, 1])
    draw = torch.Generator().manual_seed(0)
    known = {(0, 0), (1, 0)}
    found = fresh([(0, 0), (2, 1), (2, 1), (3, 0)], known, top, draw)
    assert len(found) == len(set(found)) == 4 and not known & set(found)
    assert (2, 1) in found and (3, 0) in found
    assert all(0 <= a <= 3 and 0 <= b <= 1 for a, b in found)
    everything = {(a, b) for a in range(4) for b in range(2)}
    assert fresh([(0, 0)], everything, top, draw) == []


def test_a_space_smaller_than_the_evaluations_is_measured_once() -> None:
    made = problem("channel", (0.9, 0.5), build=Residual)  # eight architectures in all
    found = settings(evaluations=50).search(made)
    assert found[0].notes["measured"] <= 8
    assert found[0].notes["unprojected"] <= 0.9


def test_what_is_kept_is_what_was_measured_where_that_meets_the_budget() -> None:
    made = problem("channel", (1.0,), build=Residual)
    # The more units, the better: best is the large model, which fits the budget of 1.
    made.evaluate = lambda mask, _state: float(mask.sum()) / 6  # type: ignore[method-assign]
    (found,) = settings(evaluations=8).search(made)
    assert found.notes["measured_accuracy"] == made.space.complexity(found.mask) == 1.0
