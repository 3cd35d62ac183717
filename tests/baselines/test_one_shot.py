"""The pruners that rank the units once: dense, uniform, random, magnitude."""

from typing import Any, Literal

import pytest
import torch
from problems import BUDGETS, pretrained_weights, problem
from torch import Tensor

from baselines.dense import Dense
from baselines.magnitude import Magnitude
from baselines.random import Random
from baselines.uniform import Uniform
from benchmark.pruning.problem import Problem, SubNetwork

Norm = Literal["l1", "l2"]


def shares(made: Problem, sub: SubNetwork) -> list[float]:
    return [float(part.float().mean()) for part in sub.mask.split(made.space.sizes)]


def norms(made: Problem, power: int) -> Tensor:
    """The norms of every filter of the large model, or of every weight; a layer after the other."""
    state = pretrained_weights(0)[0]
    layers = [state[name if name.endswith("weight") else f"{name}.weight"] for name in made.space.offsets]
    if made.space.granularity == "weight":
        return torch.cat([layer.double().abs().flatten() for layer in layers])
    return torch.cat([layer.double().abs().pow(power).sum((1, 2, 3)).pow(1 / power) for layer in layers])


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_dense_keeps_everything(granularity: str) -> None:
    made = problem(granularity, Dense().budgets(BUDGETS))
    (sub,) = Dense().search(made)
    assert sub.budget == 1 and bool(sub.mask.all()) and sub.state is None


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_magnitude_keeps_the_largest_of_the_whole_network(granularity: str, norm: Norm, power: int) -> None:
    made = problem(granularity)
    found = Magnitude(Magnitude.Parameters(norm=norm)).search(made)
    scores = norms(made, power)
    for sub in found:
        assert torch.equal(sub.mask, made.space.project(scores, sub.budget))
        assert sub.state is None


def test_the_norms_choose_different_channels() -> None:
    made = problem("channel")
    assert not torch.equal(made.space.project(norms(made, 1), 0.5), made.space.project(norms(made, 2), 0.5))


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_layerwise_magnitude_keeps_the_largest_of_each_layer_at_equal_shares(granularity: str, norm: Norm) -> None:
    made = problem(granularity, (0.5,))
    (sub,) = Magnitude(Magnitude.Parameters(norm=norm, scope="layerwise")).search(made)
    # The smallest group has 4 channels, or 9 weights.
    assert max(shares(made, sub)) - min(shares(made, sub)) <= (0.25 if granularity == "channel" else 0.12)
    scores = norms(made, int(norm[1]))
    for part in made.space.offsets.values():
        kept, values = sub.mask[part], scores[part]
        # Of single weights one per layer may stand lower: it joins input and output.
        lower = int((values[kept] < values[~kept].max()).sum())
        assert lower <= (granularity == "weight")


def test_normalised_magnitude_empties_no_layer_of_small_filters() -> None:
    made = problem("channel", (0.1,))
    (raw,) = Magnitude(Magnitude.Parameters(scope="raw")).search(made)
    (normalised,) = Magnitude(Magnitude.Parameters(scope="normalised")).search(made)
    # The first layer's filters have 9 entries, the last layers' 288: raw norms leave it one channel.
    assert int(raw.mask[: made.space.sizes[0]].sum()) == 1
    assert int(normalised.mask[: made.space.sizes[0]].sum()) > 1


def test_of_single_weights_normalised_magnitude_is_raw() -> None:
    made = problem("weight")
    for one, other in zip(
        Magnitude(Magnitude.Parameters(scope="raw")).search(made),
        Magnitude(Magnitude.Parameters(scope="normalised")).search(made),
        strict=True,
    ):
        assert torch.equal(one.mask, other.mask)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_uniform_scales_all_layers_alike_by_random_units(granularity: str) -> None:
    made = problem(granularity, (0.5,))
    (sub,) = Uniform().search(made)
    # One share explains every layer's width to the unit, but for the weight that joins input and output.
    slack = 1 if granularity == "channel" else 2
    kept = [(int(part.sum()), len(part)) for part in sub.mask.split(made.space.sizes)]
    assert max((count - slack) / size for count, size in kept) <= min(count / size for count, size in kept)
    # Which units is drawn: not the first of each layer.
    assert any(not bool(part[: int(part.sum())].all()) for part in sub.mask.split(made.space.sizes))


def test_random_scores_keep_about_equal_shares_and_random_ratios_do_not() -> None:
    made = problem("weight", (0.5,))
    (by_scores,) = Random().search(made)
    (by_ratios,) = Random(Random.Parameters(allocation="ratios")).search(made)
    large = [index for index, size in enumerate(made.space.sizes) if size > 500]
    found = [shares(made, by_scores)[index] for index in large]
    assert max(found) - min(found) < 0.15
    found = [shares(made, by_ratios)[index] for index in large]
    assert max(found) - min(found) > 0.5
    # A layer's share follows the ratio that was drawn for it.
    generator = made.generator("units")
    torch.rand(made.space.n, generator=generator, dtype=torch.float64)
    ratios = torch.rand(len(made.space.groups), generator=generator, dtype=torch.float64)[large]
    order = torch.argsort(ratios).tolist()
    assert [found[index] for index in order] == sorted(found)


def idle_taps(made: Problem, **parameters: Any) -> dict[str, tuple[int, int]]:
    """How many centre taps are dropped, and how many of the others kept, in each of the last six convolutions.

    After three poolings of 8x8 images the maps are 1x1, where a kernel reads nothing but padding beside its centre.
    """
    (sub,) = Random(Random.Parameters(**parameters)).search(made)
    masks = made.space.unflatten(sub.mask)
    layers = [name for name in masks if name.startswith("features")][-6:]
    taps = {name: masks[name].view(-1, 9) for name in layers}
    return {name: (int((~t[:, 4]).sum()), int(t.sum() - t[:, 4].sum())) for name, t in taps.items()}


def test_among_live_units_what_only_reads_padding_comes_last() -> None:
    made = problem("weight", (0.1,))
    assert all(idle > 0 for _, idle in idle_taps(made).values())
    assert all(idle == 0 for _, idle in idle_taps(made, among="live").values())
    # At random ratios each layer has its own last.
    by_ratios = idle_taps(made, among="live", allocation="ratios")
    assert all(idle == 0 for dropped, idle in by_ratios.values() if dropped > 0)
