"""The flow of paths by hand, its conservation, and its rounds."""

import torch
from problems import Normed, Residual, problem
from torch import Tensor, nn

from baselines.synflow import SynFlow, flow
from benchmark.pruning.problem import Problem
from benchmark.pruning.synaptic import double


class Chain(nn.Module):
    """Groups `first` (2 channels) and `second` (3 channels), pixel by pixel; linear, as all is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 1, bias=False)
        self.second = nn.Conv2d(2, 3, 1, bias=False)
        self.head = nn.Linear(3, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)).mean((2, 3)))


FIRST = torch.tensor([1.0, -2.0])
SECOND = torch.tensor([[1.0, -1.0], [0.0, 3.0], [2.0, 1.0]])
HEAD = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [-1.0, 0.0, 0.0]])


def state_of(first: Tensor, second: Tensor, head: Tensor) -> dict[str, Tensor]:
    weights = {"first.weight": first.view(2, 1, 1, 1), "second.weight": second.view(3, 2, 1, 1), "head.weight": head}
    return {name: tensor.abs().double() for name, tensor in weights.items()}


def kept(made: Problem) -> Tensor:
    return torch.ones(made.space.n, dtype=torch.bool)


def test_channels_by_hand() -> None:
    made = problem("channel", (0.5,), build=Chain)
    # Into the first layer's channels come 1 and 2, into the second's 1 + 2, 6, 2 + 2; these go out with 2, 2, 1.
    scores = flow(made, state_of(FIRST, SECOND, HEAD), kept(made))
    assert scores.tolist() == [1 * (2 + 2), 2 * (2 + 6 + 1), 3 * 2, 6 * 2, 4 * 1]


def test_weights_by_hand() -> None:
    made = problem("weight", (0.5,), build=Chain)
    scores = made.space.unflatten(flow(made, state_of(FIRST, SECOND, HEAD), kept(made)))
    assert scores["first.weight"].tolist() == [4, 18]
    assert scores["second.weight"].tolist() == [1 * 1 * 2, 2 * 1 * 2, 0, 2 * 3 * 2, 1 * 2 * 1, 2 * 1 * 1]
    assert scores["head.weight"].tolist() == [3, 0, 4, 0, 12, 0, 3, 0, 0]


def test_what_is_masked_carries_nothing_and_is_not_scored() -> None:
    made = problem("channel", (0.5,), build=Chain)
    mask = torch.tensor([True, False, True, True, True])
    assert flow(made, state_of(FIRST, SECOND, HEAD), mask).tolist() == [4, 0, 2, 0, 2]


def test_every_layer_carries_the_same() -> None:
    made = problem("weight", (0.5,), build=Chain)
    state = {name: tensor.abs() for name, tensor in double(made.initial()).items()}
    sums = torch.stack([part.sum() for part in flow(made, state, kept(made)).split(made.space.sizes)])
    torch.testing.assert_close(sums, sums[:1].expand(3))


def test_statistics_are_those_of_inference_and_positive() -> None:
    made = problem("channel", (0.5,), build=Normed)
    state = {name: tensor.abs() for name, tensor in double(made.initial()).items()}
    state["norm.running_var"].fill_(4 - 1e-5)
    state["norm.running_mean"].fill_(0)
    before = {name: tensor.clone() for name, tensor in state.items()}
    found = flow(made, state, kept(made))
    # Images of ones under 3 x 3 kernels that hang over the rim; the mean over 64 places.
    ones = nn.functional.conv2d(torch.ones(1, 1, 8, 8, dtype=torch.float64), state["conv.weight"], padding=1)
    torch.testing.assert_close(found, ones.mean((0, 2, 3)) / 2 * state["head.weight"].sum(0))
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


def test_one_round_is_the_ranking_of_the_large_model() -> None:
    made = problem("channel", (0.6, 0.4), build=Residual)
    found = SynFlow(SynFlow.Parameters(rounds=1)).search(made)
    state = {name: tensor.abs() for name, tensor in double(made.initial()).items()}
    scores = flow(made, state, kept(made))
    for sub in found:
        assert torch.equal(sub.mask, made.space.project(scores, sub.budget))


def test_two_rounds_by_hand() -> None:
    made = problem("weight", (0.1,))
    (sub,) = SynFlow(SynFlow.Parameters(rounds=2)).search(made)
    state = {name: tensor.abs() for name, tensor in double(made.initial()).items()}
    half = made.space.project(flow(made, state, kept(made)), 0.1**0.5)
    scores = flow(made, state, half)
    scores[~half] = -1
    assert torch.equal(sub.mask, made.space.project(scores, 0.1))


def test_many_rounds_keep_more_of_the_narrowest_layer_than_one() -> None:
    def narrowest(rounds: int) -> int:
        made = problem("weight", (0.02,))
        (sub,) = SynFlow(SynFlow.Parameters(rounds=rounds)).search(made)
        return min(int(part.sum()) for part in sub.mask.split(made.space.sizes))

    assert narrowest(30) > 2 * narrowest(1)
