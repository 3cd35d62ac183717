"""Networks in which two modules share something, or layers keep what they made, under other weights than their own."""

from copy import deepcopy

import pytest
import torch
from shared_networks import Remembering, TwoNames
from torch import Tensor, nn

from benchmark.config.params import Recipe
from benchmark.protocol.fewshot import Draw, adapt
from benchmark.pruning.problem import Problem
from benchmark.space import build_space
from benchmark.space.surgery.mask_and_cut import run
from benchmark.training.loop import Task, accuracy

RECIPE = Recipe(steps=3, batch=8, lr=0.5)


def task(count: int, seed: int) -> Task:
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 4, 4), generator=draw, dtype=torch.uint8)
    return Task(images, torch.randint(0, 2, (count,), generator=draw), torch.tensor([0.5]), torch.tensor([0.3]))


def problem(model: nn.Module) -> Problem:
    space = build_space(model, torch.zeros(1, 1, 4, 4), "channel")
    data = task(200, 0)
    return Problem(space, model, data, data, RECIPE, (0.5,), 0, "cpu", lambda: ({}, 0))


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Other weights for `model`, the same under all names of one tensor."""
    torch.manual_seed(1)
    other = deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_()
    return {name: tensor.detach().clone() for name, tensor in other.state_dict().items()}


@pytest.mark.parametrize("network", [TwoNames, Remembering])
def test_gated_logits_and_accuracy_are_those_of_the_given_weights(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = network()
    made, state = problem(model), weights(model)
    own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    loaded = deepcopy(model)
    loaded.load_state_dict(state)
    everything = torch.ones(made.space.n)
    assert made.evaluate(everything.bool(), own) == accuracy(deepcopy(model).eval(), made.validation)
    assert made.evaluate(everything.bool(), state) == accuracy(loaded.eval(), made.validation)
    images = torch.randn(6, 1, 4, 4)
    expected = loaded.train()(images)
    assert torch.equal(made.gated_logits(state, everything, images), expected)
    # Running statistics follow under both names of a norm; the model keeps its own tensors.
    assert all(torch.equal(state[name], tensor) for name, tensor in loaded.state_dict().items())
    assert all(torch.equal(own[name], tensor) for name, tensor in model.state_dict().items())


def test_statistics_with_two_names_follow_under_both() -> None:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.BatchNorm1d(2, affine=False)
            self.other = self.one

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.one(x))

    model, x = Norms(), torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run(model, state, x)
    # From 0 by a tenth of the means 2 and 4, and then of 0.
    assert state["one.running_mean"].tolist() == pytest.approx([0.18, 0.36])
    assert torch.equal(state["other.running_mean"], state["one.running_mean"])
    assert int(state["other.num_batches_tracked"]) == 2 and model.one.running_mean.tolist() == [0, 0]


def test_what_a_layer_keeps_belongs_to_one_run() -> None:
    model = Remembering().eval()
    x = torch.randn(2, 1, 4, 4)
    expected = model(x)
    run(model, {name: 2 * parameter for name, parameter in model.named_parameters()}, x)
    assert torch.equal(model(x), expected)


def test_draws_are_judged_by_their_own_weights() -> None:
    torch.manual_seed(0)
    model = Remembering()
    draws = [Draw(4, seed, task(8, seed), task(200, 9), 2, seed) for seed in (1, 2, 3)]
    together = adapt(model, draws, RECIPE, {})
    assert together == [adapt(model, [draw], RECIPE, {})[0] for draw in draws]
    assert len(set(together)) > 1
