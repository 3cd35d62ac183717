"""The graph of channels: its nodes and edges by hand, reading and writing, and the energy of a channel."""

import pytest
import torch
from problems import CLASSES, Normed, TwoConvolutions, problem, resnet, vgg

from benchmark.pruning.channel_graph import ChannelGraph


def test_nodes_and_edges_by_hand() -> None:
    made = problem("channel", build=TwoConvolutions)
    graph = ChannelGraph(made.space, made.network)
    # Two and three channels, the image's one, three classes.
    assert (graph.units, graph.nodes) == (5, 5 + 1 + CLASSES)
    assert graph.weights == ["first.weight", "second.weight", "head.weight"]
    edges = list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    assert edges[:2] == [(5, 0), (5, 1)]  # the image to the first layer
    assert edges[2:8] == [(read, made) for made in (2, 3, 4) for read in (0, 1)]
    assert edges[8:] == [(read, made) for made in (6, 7, 8) for read in (2, 3, 4)]


def test_features_by_hand() -> None:
    made = problem("channel", build=Normed)
    state = made.draw(0)
    state["norm.weight"][:] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    state["norm.running_mean"][2] = 7.0
    nodes, edges = ChannelGraph(made.space, made.network).read(state)
    assert nodes[:4, 0].tolist() == [1, 2, 3, 4]
    assert nodes[2].tolist() == [3, 0, 7, 1, 0]
    assert nodes[4:].tolist() == [[1, 0, 0, 1, 0]] * (1 + CLASSES)  # the image and the classes have none
    assert edges[0].tolist() == state["conv.weight"][0, 0].flatten().tolist()
    # A linear weight is the middle of a kernel.
    assert edges[4].tolist() == [0, 0, 0, 0, float(state["head.weight"][0, 0]), 0, 0, 0, 0]


@pytest.mark.parametrize("build", [TwoConvolutions, vgg, resnet])
def test_nothing_added_is_the_state_itself(build) -> None:
    made = problem("channel", build=build)
    graph, state = ChannelGraph(made.space, made.network), made.draw(0)
    same = graph.written(state, torch.zeros(graph.nodes, 2), torch.zeros(len(graph.source), 9))
    assert all(torch.equal(same[name], state[name]) for name in state)


def test_what_is_written_is_read_again() -> None:
    made = problem("channel", build=vgg)
    graph, state = ChannelGraph(made.space, made.network), made.draw(0)
    nodes, edges = graph.read(state)
    # One by one kernels and scales hold only their middle.
    added = torch.zeros_like(edges)
    added[:, 4] = torch.randn(len(edges))
    shift = torch.randn(graph.nodes, 2)
    again = graph.read(graph.written(state, shift, added))
    torch.testing.assert_close(again[1], edges + added)
    torch.testing.assert_close(again[0][: graph.units, :2], nodes[: graph.units, :2] + shift[: graph.units])


def test_the_energy_of_a_channel_by_hand() -> None:
    made = problem("channel", build=TwoConvolutions)
    graph, state = ChannelGraph(made.space, made.network), made.draw(0)
    state["first.weight"] = torch.ones_like(state["first.weight"])
    state["second.weight"] = 2 * torch.ones_like(state["second.weight"])
    state["head.weight"] = 3 * torch.ones_like(state["head.weight"])
    # A first channel: 9 entries of 1 where it is made, 3 kernels of 9 twos where it is read. A second one: 2 kernels of
    # 9 twos, and 3 weights of 3 in the head.
    first, second = (9 + 3 * 9 * 4) / 2, (2 * 9 * 4 + 3 * 9) / 2
    assert graph.importance(state).tolist() == [first] * 2 + [second] * 3


def test_blocks_are_no_channels() -> None:
    alone, both = problem("channel", build=resnet), problem("block+channel", build=resnet)
    state = alone.draw(0)
    graph = ChannelGraph(both.space, both.network)
    assert graph.units == alone.space.n == both.space.n - 9
    assert torch.equal(graph.importance(state), ChannelGraph(alone.space, alone.network).importance(state))
