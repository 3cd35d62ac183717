"""The laws of weights: what is drawn when, and what is trained in between."""

import itertools

import pytest
import torch
from problems import RECIPE, Normed, TwoConvolutions, pretrained_weights, problem, vgg
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw
from benchmark.pruning.problem import Problem
from benchmark.training.loop import fit

State = dict[str, Tensor]


def copied(state: State) -> State:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def equal(one: State, other: State) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def ones(made: Problem) -> Tensor:
    return torch.ones(made.space.n)


def test_the_init_law_draws_anew_at_every_step_and_by_the_seed() -> None:
    made = problem("channel")
    law = InitialLaw(made)
    samples = [law.sample(step, lambda: ones(made)) for step in range(3)]
    assert not law.own_weights and made.flops == 0
    for one, other in itertools.combinations([*samples, made.initial()], 2):
        assert not torch.equal(one["features.0.weight"], other["features.0.weight"])
    again = InitialLaw(problem("channel"))
    assert equal(again.sample(2, lambda: ones(made)), samples[2])
    other_seed = InitialLaw(problem("channel", seed=1)).sample(2, lambda: ones(made))
    assert not torch.equal(other_seed["features.0.weight"], samples[2]["features.0.weight"])


def test_the_restart_law_draws_at_restarts_and_trains_in_between() -> None:
    made = problem("channel")
    law = RestartLaw(made, steps=6, restarts=2, warmup=2)
    charged = [made.flops]
    samples = []
    for step in range(6):
        samples.append(copied(law.sample(step, lambda: ones(made))))
        charged.append(made.flops)
    unit = 6 * made.dense_macs * RECIPE.batch
    # Two warm-up steps and its own before the first step of each restart, one before each other.
    assert [(after - before) // unit for before, after in itertools.pairwise(charged)] == [3, 1, 1, 3, 1, 1]
    for one, other in itertools.combinations(samples, 2):
        assert not torch.equal(one["features.0.weight"], other["features.0.weight"])
    # The statistics count the training batches since the last draw.
    assert [int(sample["features.1.num_batches_tracked"]) for sample in samples] == [3, 4, 5, 3, 4, 5]
    again = RestartLaw(problem("channel"), steps=6, restarts=2, warmup=2)
    assert all(equal(copied(again.sample(step, lambda: ones(made))), samples[step]) for step in range(6))


def test_every_restart_begins_at_a_draw_of_its_own() -> None:
    made = problem("channel", recipe=RECIPE.model_copy(update={"lr": 1e-12}))
    law = RestartLaw(made, steps=4, restarts=2, warmup=1)
    for step in range(4):
        state, drawn = law.sample(step, lambda: ones(made)), made.draw(step // 2)
        torch.testing.assert_close(state["features.0.weight"].detach(), drawn["features.0.weight"])


def test_steps_that_restarts_do_not_divide() -> None:
    made = problem("channel", build=TwoConvolutions)
    law = RestartLaw(made, steps=5, restarts=2, warmup=0)
    drawn = []
    for step in range(5):
        law.sample(step, lambda: ones(made))
        drawn.append(law.done)
    assert drawn == [1, 2, 3, 1, 2]


@pytest.mark.parametrize("changes", [{}, {"clip": 0.05}, {"label_smoothing": 0.3}, {"momentum": 0.0}])
def test_the_restart_law_trains_by_the_suites_recipe(changes: dict[str, float]) -> None:
    """With every gate open a restart is a plain training from its draw, over warm-up and architecture steps."""
    recipe = RECIPE.model_copy(update={"lr": 0.3, **changes})
    made = problem("channel", build=Normed, recipe=recipe)
    law = RestartLaw(made, steps=3, restarts=1, warmup=2)
    for step in range(3):
        state = law.sample(step, lambda: ones(made))

    plain = problem("channel", build=Normed, recipe=recipe)
    network = plain.network
    network.load_state_dict(plain.draw(0))
    longer = recipe.model_copy(update={"steps": 5})
    network.train()
    fit(network, dict(network.named_parameters()), plain.batches(plain.train, longer, "restart", 0), longer)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(state[name].detach(), tensor, rtol=1e-4, atol=1e-6)


def test_the_restart_law_trains_under_the_gates() -> None:
    made = problem("channel", build=TwoConvolutions)
    gates = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    law = RestartLaw(made, steps=2, restarts=1, warmup=0)
    recipe = made.recipe.model_copy(update={"weight_decay": 0.0})
    law.recipe = recipe.model_copy(update={"steps": 2})
    state = copied(law.sample(0, lambda: gates))
    drawn = made.draw(0)
    # What is closed is read by nobody, so it does not learn.
    assert torch.equal(state["first.weight"][1], drawn["first.weight"][1])
    assert torch.equal(state["second.weight"][2], drawn["second.weight"][2])
    assert not torch.equal(state["first.weight"][0], drawn["first.weight"][0])
    assert not torch.equal(state["second.weight"][:2, 0], drawn["second.weight"][:2, 0])


def test_running_statistics_follow_at_the_recipes_pace() -> None:
    recipe = RECIPE.model_copy(update={"batch": 30, "shift": 0, "norm_momentum": 0.7})
    made = problem("channel", build=Normed, recipe=recipe)
    state = copied(RestartLaw(made, steps=1, restarts=1, warmup=0).sample(0, lambda: ones(made)))
    maps = F.conv2d(made.train.normalise(made.train.images), made.draw(0)["conv.weight"], padding=1)
    torch.testing.assert_close(state["norm.running_mean"], 0.7 * maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_the_pretrained_law_without_noise_is_the_pretrained_model() -> None:
    made = problem("channel")
    law = PretrainedLaw(made, noise=0.0)
    assert not law.own_weights and made.pretrain_flops == pretrained_weights(0)[1]
    sample = law.sample(0, lambda: ones(made))
    assert equal(sample, pretrained_weights(0)[0])
    sample["features.0.weight"].zero_()
    assert equal(law.sample(1, lambda: ones(made)), pretrained_weights(0)[0])


def test_noise_has_its_size_relative_to_each_tensor_and_is_drawn_per_step() -> None:
    given = pretrained_weights(0)[0]
    law = PretrainedLaw(problem("channel"), noise=0.25)
    first, second = law.sample(0, lambda: torch.ones(1)), law.sample(1, lambda: torch.ones(1))
    names = [name for name, _ in vgg().named_parameters()]
    for name, tensor in given.items():
        moved = first[name] - tensor
        if name not in names:
            assert torch.equal(first[name], tensor)
            continue
        assert not torch.equal(first[name], second[name]) or bool((tensor == 0).all())
        if tensor.numel() > 1000:
            relative = float(moved.square().mean().sqrt() / tensor.square().mean().sqrt())
            assert relative == pytest.approx(0.25, rel=0.1)
    assert equal(PretrainedLaw(problem("channel"), noise=0.25).sample(1, lambda: torch.ones(1)), second)


def test_gated_logits_are_those_of_the_channels_multiplied() -> None:
    made = problem("channel", build=Normed)
    state = made.draw(0)
    state["norm.weight"], state["norm.bias"] = torch.tensor([1.0, 2.0, 0.5, 1.0]), torch.tensor([0.1, 0.0, -0.3, 0.2])
    gates = torch.tensor([1.0, 0.0, 0.3, 1.0])
    images = made.train.normalise(made.train.images)
    maps = F.conv2d(images, state["conv.weight"], padding=1)
    maps = F.batch_norm(maps, None, None, state["norm.weight"], state["norm.bias"], training=True)
    pooled = (maps.relu() * gates.view(1, -1, 1, 1)).mean((2, 3))
    expected = F.linear(pooled, state["head.weight"], state["head.bias"])
    made.network.eval()
    torch.testing.assert_close(made.gated_logits(copied(state), gates, images), expected, rtol=1e-4, atol=1e-5)
    # A network with the same weights, and all gates open, is the network itself.
    network = Normed().train()
    plain = functional_call(network, copied(state), (images,))
    torch.testing.assert_close(made.gated_logits(copied(state), torch.ones(4), images), plain)
