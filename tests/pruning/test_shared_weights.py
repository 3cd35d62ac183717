"""Shared weights train as the recipe says, and batch norm gets the statistics of the sub-network that is kept."""

import torch
from problems import RECIPE, Normed, TwoConvolutions, problem
from torch.nn import functional as F

from benchmark import seeds
from benchmark.pruning.shared_weights import SharedWeights, recalibrated
from benchmark.training.loop import batches, loss_of


def test_training_of_the_whole_network_is_the_suite_s() -> None:
    made, plain = problem("channel", build=Normed), problem("channel", build=Normed)
    everything = torch.ones(made.space.n, dtype=torch.bool)
    net = SharedWeights(made, made.initial(), RECIPE.steps)
    for images, labels in batches(made.train, net.recipe, seeds.generator(made.seed, "source-order")):
        loss_of(net.logits(everything.float(), images), labels).backward()
        net.update()
    expected = plain.retrain(everything, plain.initial())
    for name, tensor in net.copied().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
    assert made.flops == plain.flops > 0


def test_statistics_by_hand() -> None:
    recipe = RECIPE.model_copy(update={"norm_momentum": 0.3, "batch": 10, "shift": 0})
    made = problem("channel", build=Normed, recipe=recipe)
    state = made.initial()
    found = recalibrated(made, state, torch.ones(4, dtype=torch.bool), 2, "here")
    shown = made.batches(made.train, recipe.model_copy(update={"steps": 2}), "statistics", "here")
    maps = [F.conv2d(images, state["conv.weight"], padding=1) for images, _ in shown]
    mean, var = (torch.stack([one.mean((0, 2, 3)) for one in maps]), torch.stack([one.var((0, 2, 3)) for one in maps]))
    torch.testing.assert_close(found["norm.running_mean"], mean.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["norm.running_var"], var.mean(0), rtol=1e-4, atol=1e-5)
    # What was given stays, and forward passes alone are charged: two batches of ten.
    assert bool((state["norm.running_mean"] == 0).all()) and bool((state["norm.running_var"] == 1).all())
    assert made.flops == 2 * made.dense_macs * 20


def test_without_batch_norm_nothing_is_run() -> None:
    made = problem("channel", build=TwoConvolutions)
    state = made.initial()
    found = recalibrated(made, state, torch.ones(5, dtype=torch.bool), 4)
    assert made.flops == 0 and all(torch.equal(found[name], state[name]) for name in state)
