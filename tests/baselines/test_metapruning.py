"""MetaPruning: its penalty and messages by hand, its gradient, and what is left without a metanetwork."""

from dataclasses import replace

import pytest
import torch
from problems import TwoConvolutions, problem, vgg
from torch import Tensor

from baselines import metapruning as module
from baselines.metapruning import MetaNetwork, MetaPruning, changed, penalty, ranking
from benchmark.pruning.channel_graph import ChannelGraph
from benchmark.pruning.problem import Problem
from benchmark.training.loop import training_flops


def parts(build=TwoConvolutions) -> tuple[Problem, ChannelGraph, MetaNetwork]:
    made = problem("channel", (0.5,), build=build)
    graph = ChannelGraph(made.space, made.network)
    torch.manual_seed(0)
    return made, graph, MetaNetwork(graph, 4, 2)


def test_the_penalty_weighs_the_least_important_most(monkeypatch: pytest.MonkeyPatch) -> None:
    made, graph, _ = parts()
    energies = torch.tensor([1.0, 4.0, 9.0, 25.0, 4.0])
    monkeypatch.setattr(graph, "importance", lambda _state: energies)
    # Importance 1, 2, 3, 5, 2; the exponents are its distances from 5 in quarters.
    weights = [16.0, 16**0.75, 4.0, 1.0, 16**0.75]
    expected = sum(w * e for w, e in zip(weights, energies.tolist(), strict=True)) / 2
    assert float(penalty(graph, made.draw(0))) == pytest.approx(expected)


def test_messages_by_hand() -> None:
    """Two edges into node 2; node 0 receives nothing."""
    messages = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    found = module._gathered(messages, torch.tensor([2, 2]), 3)
    assert found[2].tolist() == pytest.approx([2, 1, 1, 3, 3, 4, 1, -2], abs=1e-3)
    assert found[0].abs().max() < 1e-3


def test_the_gradient_of_the_metanetwork_against_finite_differences() -> None:
    made, graph, net = parts()
    net.double()
    state = {name: tensor.double() for name, tensor in made.draw(0).items()}
    nodes, edges = (part.double() for part in graph.read(state))
    weight = next(net.to_edges.parameters())

    def value() -> Tensor:
        added = net(nodes, edges)
        moved = graph.written(state, added[0], added[1])
        return sum(tensor.square().sum() for tensor in moved.values())  # type: ignore[return-value]

    (slope,) = torch.autograd.grad(value(), weight)
    with torch.no_grad():
        for place in ((0, 0), (1, 2)):
            kept = weight[place].item()
            ends = []
            for step in (1e-5, -1e-5):
                weight[place] = kept + step
                ends.append(float(value()))
            weight[place] = kept
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(slope[place]), rel=1e-4, abs=1e-8)


def test_without_a_metanetwork_it_is_group_norm_of_the_fine_tuned_network() -> None:
    made = problem("channel", (0.5, 0.2), build=vgg)
    found = MetaPruning(MetaPruning.Parameters(r=0.0)).search(made)
    plain = problem("channel", (0.5, 0.2), build=vgg)
    own = plain.recipe.model_copy(update={"steps": 1, "lr": plain.recipe.lr / 10})
    every = torch.ones(plain.space.n, dtype=torch.bool)
    tuned = replace(plain, recipe=own).retrain(every, plain.pretrained())
    graph = ChannelGraph(plain.space, plain.network)
    expected = plain.project(ranking(plain, graph, tuned))
    assert all(torch.equal(one.mask, two.mask) for one, two in zip(found, expected, strict=True))
    # Nothing but the fine-tuning is charged.
    assert made.flops == training_flops(made.dense_macs, min(made.recipe.batch, len(made.train)))


def test_a_metanetwork_is_trained_on_its_own_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    given = module._loss

    def noted(*asked: object) -> Tensor:
        found = given(*asked)  # type: ignore[arg-type]
        losses.append(float(found.detach()))
        return found

    monkeypatch.setattr(module, "_loss", noted)
    made = problem("channel", (0.5,), build=vgg)
    kept = MetaPruning(MetaPruning.Parameters(meta_steps=3, batches=2, models=2)).search(made)
    assert len(losses) == 6 and made.flops > 6 * training_flops(made.dense_macs, made.recipe.batch)
    untrained = MetaPruning(MetaPruning.Parameters(meta_steps=0)).search(problem("channel", (0.5,), build=vgg))
    assert kept[0].state is not None and untrained[0].state is not None
    assert any(not torch.equal(kept[0].state[name], untrained[0].state[name]) for name in kept[0].state)


def test_what_a_run_of_the_metanetwork_costs_is_charged() -> None:
    made, graph, net = parts()
    with torch.no_grad():
        changed(made, graph, net, made.draw(0), 0.1)
    assert made.flops == 2 * net.macs > 0
