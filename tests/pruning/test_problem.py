"""What a problem offers to a pruner: seeded draws, training, evaluation, and the account of their compute."""

import pytest
import torch
from problems import RECIPE, pretrained_weights, problem, vgg
from torch import Tensor

from benchmark import models, seeds
from benchmark.config.params import Recipe
from benchmark.training.loop import accuracy

State = dict[str, Tensor]


def equal(one: State, other: State) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_initial_weights_are_those_all_methods_share_and_draws_are_others() -> None:
    made = problem("channel", seed=5)
    network = vgg()
    models.initialise(network, seeds.derive(5, "init"))
    assert equal(made.initial(), network.state_dict())
    draws = [made.draw(number) for number in (0, 1, 0)]
    assert equal(draws[0], draws[2])
    first = "features.0.weight"
    assert not torch.equal(draws[0][first], draws[1][first])
    assert not torch.equal(draws[0][first], made.initial()[first])
    assert not torch.equal(draws[0][first], problem("channel", seed=6).draw(0)[first])


def test_generators_are_named() -> None:
    made = problem("channel")

    def number(*names: str | int) -> int:
        return int(torch.randint(2**40, (1,), generator=made.generator(*names)))

    assert number("a", 1) == number("a", 1)
    assert len({number("a", 1), number("a", 2), number("b", 1), number("a")}) == 4


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_training_can_be_cut_in_two(granularity: str) -> None:
    # Without momentum a training has no memory but its weights: up to step 3 and on from there is the whole.
    recipe = Recipe(steps=5, batch=12, lr=0.1, momentum=0.0)
    made = problem(granularity, recipe=recipe)
    mask = made.space.project(torch.arange(made.space.n, dtype=torch.float64), 0.3)
    whole = made.retrain(mask, made.initial())
    charged, made.flops = made.flops, 0
    half = made.retrain(mask, made.initial(), stop=3)
    assert made.flops * 5 == charged * 3
    assert not equal(half, whole)
    assert equal(made.retrain(mask, half, start=3), whole)
    assert made.flops == charged == 6 * made.space.macs(mask) * 5 * 12


def test_stop_beyond_the_recipe_is_the_recipe() -> None:
    made = problem("channel")
    everything = torch.ones(made.space.n, dtype=torch.bool)
    assert equal(made.retrain(everything, made.initial(), stop=100), pretrained_weights(0)[0])
    assert made.flops == pretrained_weights(0)[1]


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_evaluation_is_the_validation_accuracy_of_the_extracted_network(granularity: str) -> None:
    made = problem(granularity)
    state = pretrained_weights(0)[0]
    mask = made.space.project(torch.rand(made.space.n, generator=torch.Generator().manual_seed(0)), 0.6)
    found = made.evaluate(mask, state)
    network = vgg()
    network.load_state_dict(state)
    extracted = made.space.extract(network, made.space.architecture(mask)).eval()
    assert found == accuracy(extracted, made.validation)
    assert made.flops == 2 * made.space.macs(mask) * len(made.validation)
    assert equal(state, pretrained_weights(0)[0])


def test_asking_for_the_pretrained_weights_charges_them_once() -> None:
    made = problem("channel")
    made.pretrained()
    made.pretrained()
    assert (made.flops, made.pretrain_flops) == (0, pretrained_weights(0)[1])
    assert made.pretrain_flops == 6 * made.dense_macs * RECIPE.steps * RECIPE.batch


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_gated_logits_follow_the_recipe_s_precision(granularity: str) -> None:
    logits = {}
    for precision in ("float32", "bfloat16"):
        made = problem(granularity, recipe=RECIPE.model_copy(update={"precision": precision}))
        state, gates = made.initial(), torch.full((made.space.n,), 0.7, requires_grad=True)
        images = made.train.normalise(made.train.pixels(torch.arange(12)))
        logits[precision] = made.gated_logits(state, gates, images)
        (gradient,) = torch.autograd.grad(logits[precision].square().sum(), gates)
        assert logits[precision].dtype == gradient.dtype == torch.float32
        assert bool(torch.isfinite(gradient).all()) and bool((gradient != 0).any())
    single, half = (logits[precision].detach() for precision in ("float32", "bfloat16"))
    assert not torch.equal(single, half)
    torch.testing.assert_close(half, single, rtol=0.1, atol=0.1)


def test_a_search_trains_in_the_recipe_s_precision() -> None:
    single, half = (
        problem("channel", recipe=RECIPE.model_copy(update={"precision": precision}))
        for precision in ("float32", "bfloat16")
    )
    everything = torch.ones(single.space.n, dtype=torch.bool)
    states = [made.retrain(everything, made.initial()) for made in (single, half)]
    assert not equal(*states)
    assert all(tensor.dtype == states[0][name].dtype for name, tensor in states[1].items())
    # Four steps of a network of thirteen norms on twelve images: what one step rounds, the next ones carry on.
    one, other = (torch.cat([tensor.flatten().float() for tensor in state.values()]) for state in states)
    assert float((one - other).norm() / one.norm()) < 0.2
