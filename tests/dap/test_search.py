"""The search of DAP: its starting point, one step by hand, the path along the budgets, and its symmetry."""

import math
from dataclasses import replace

import pytest
import torch
from problems import BUDGETS, CLASSES, RECIPE, Normed, TwoConvolutions, problem, resnet, space_of, vgg
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.dap import units as module
from benchmark.dap.cost_weight import DualAscent, Penalty
from benchmark.dap.laws import Gates, InitialLaw, RestartLaw, WeightLaw
from benchmark.dap.search import Settings, search, temperature
from benchmark.dap.units import Units, filled, ladder
from benchmark.pruning.problem import Problem, SubNetwork

State = dict[str, Tensor]
SETTINGS = Settings(
    steps=6,
    tau_low=0.0,
    tau_high=1.0,
    anneal_from=None,
    lr=0.1,
    hold=0.1,
    tied=False,
    spread=0.0,
)


def searched(made: Problem, law: WeightLaw, settings: Settings) -> list[SubNetwork]:
    return search(made, law, DualAscent(0.2, 5.0), settings, made.budgets, made.progress)


class Marked(WeightLaw):
    """Draws of its own per step, whose head's bias says which step it was; keeps the gates it was asked for."""

    own_weights = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.gates: list[Tensor] = []

    def sample(self, step: int, gates: Gates) -> State:
        self.gates.append(gates().clone())
        state = self.problem.draw(step)
        state["head.bias"].fill_(step)
        return state


def test_ladder_by_hand() -> None:
    space = space_of(TwoConvolutions, "channel")
    expected = [math.log(4), math.log(4 / 3), math.log(6), math.log(2), math.log(6 / 5)]
    torch.testing.assert_close(ladder(space), torch.tensor(expected))


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.693, 1.2, 2.0])
def test_equal_shifts_of_the_ladder_are_uniform_width_scaling(shift: float) -> None:
    space = space_of(vgg, "channel")
    logits = ladder(space) - shift
    for group in space.groups:
        part = logits[space.offsets[group.name]]
        kept = int((part > 0).sum())
        assert abs(kept - group.size * math.exp(-shift)) <= 0.5 + 1e-4
        assert bool((part[:kept] > 0).all())


def test_filled_raises_the_best_unit_of_an_empty_group_and_nothing_else() -> None:
    space = space_of(TwoConvolutions, "channel")
    logits = torch.tensor([-3.0, -1.0, -2.0, 0.5, -9.0])
    result = filled(space, logits)
    assert (result > 0).tolist() == [False, True, False, True, False]
    assert result[[0, 2, 3, 4]].tolist() == [-3.0, -2.0, 0.5, -9.0]
    assert logits[1] == -1
    assert (filled(space, torch.zeros(5)) > 0).tolist() == [True, False, True, False, False]
    whole = torch.ones(5)
    assert torch.equal(filled(space, whole), whole)


def test_annealing_by_hand() -> None:
    annealed = replace(SETTINGS, steps=5, tau_low=0.2, anneal_from=1.0)
    assert [temperature(step, annealed) for step in range(5)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    to_hard = replace(annealed, tau_low=0.0)
    assert temperature(4, to_hard) == 0
    assert [temperature(step, SETTINGS) for step in range(6)] == [0] * 6


def test_the_forward_gates_follow_the_temperature() -> None:
    made = problem("channel", (0.5,), build=TwoConvolutions)
    law = Marked(made)
    searched(made, law, replace(SETTINGS, steps=3, anneal_from=0.5))
    torch.testing.assert_close(law.gates[0], torch.sigmoid(torch.full((5,), 1 / 0.5)))
    assert all(bool(((gates > 0) & (gates < 1)).all()) for gates in law.gates[:2])
    assert set(law.gates[2].tolist()) <= {0.0, 1.0}


def scores_of(made: Problem, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The logits that the search hands over to the projection at its only budget."""
    seen: list[Tensor] = []
    project = made.space.project

    def spy(scores: Tensor, budget: float) -> Tensor:
        seen.append(scores.clone())
        return project(scores, budget)

    monkeypatch.setattr(made.space, "project", spy)
    searched(made, Marked(made), settings)
    (scores,) = seen
    return scores


@pytest.mark.parametrize("tied", [False, True])
def test_one_step_by_hand(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = problem("channel", (0.5,), build=TwoConvolutions)
    settings = replace(SETTINGS, steps=1, tied=tied, tau_high=2.0, lr=0.3)
    found = scores_of(made, settings, monkeypatch)

    start = torch.tensor([4, 4 / 3, 6, 2, 6 / 5]).log() if tied else torch.ones(5)
    # All units are on, so the network is the large model with the weights of draw 0, on the first held-out batch.
    state = Marked(made).sample(0, lambda: start)
    recipe = made.recipe.model_copy(update={"steps": 1})
    ((images, labels),) = made.batches(made.validation, recipe, "scores")
    a = torch.ones(5, requires_grad=True)
    maps = torch.tanh(F.conv2d(images, state["first.weight"], state["first.bias"], padding=1))
    maps = torch.tanh(F.conv2d(maps * a[:2].view(1, -1, 1, 1), state["second.weight"], padding=1))
    logits = F.linear((maps * a[2:].view(1, -1, 1, 1)).mean((2, 3)), state["head.weight"], state["head.bias"])
    (towards_loss,) = torch.autograd.grad(F.cross_entropy(logits, labels), a)
    # Parameters: 10 per first channel, 18 entries per pair's... 9 k1 k2, then the head's 3 k2 + 3.
    k1, k2 = a[:2].sum(), a[2:].sum()
    cost = 10 * k1 + 9 * k1 * k2 + CLASSES * k2 + CLASSES
    assert int(cost) == made.space.total
    (towards_cost,) = torch.autograd.grad(cost.log(), a)
    share = torch.sigmoid(start / 2)
    through = share * (1 - share) / 2
    if tied:
        parts = [through * towards_loss, through * towards_cost]
        by_loss, by_cost = (torch.cat([p.sum().expand(len(p)) for p in part.split([2, 3])]) for part in parts)
    else:
        by_loss, by_cost = through * towards_loss, through * towards_cost
    weight = (0.2 + 5.0) * math.log(1 / 0.5)
    size = [part.square().mean().sqrt() for part in (by_loss, by_cost)]
    torch.testing.assert_close(found, start - 0.3 * (by_loss / size[0] + weight * by_cost / size[1]))
    assert made.trace == [
        {
            "step": 0,
            "loss": pytest.approx(float(F.cross_entropy(logits, labels).detach())),
            "complexity": 1.0,
            "multiplier": pytest.approx(0.2 * math.log(2)),
            "undecided": float((((s := torch.sigmoid(found / 2)) > 0.05) & (s < 0.95)).float().mean()),
        }
    ]


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_the_path_passes_the_budgets_and_leaves_a_trace(granularity: str) -> None:
    budgets = (1.0, *BUDGETS)
    made = problem(granularity, budgets)
    settings = replace(SETTINGS, steps=24, tied=granularity == "channel")
    law = Marked(made)
    found = searched(made, law, settings)
    assert [point["step"] for point in made.trace] == list(range(24))
    keys = {"step", "loss", "complexity", "multiplier", "undecided"}
    assert all(set(point) == keys for point in made.trace)
    assert all(0 < point["complexity"] <= 1 and 0 <= point["undecided"] <= 1 for point in made.trace)
    assert all(point["multiplier"] >= 0 and math.isfinite(point["loss"]) for point in made.trace)
    for point, gates in zip(made.trace, law.gates, strict=True):
        assert point["complexity"] == made.space.complexity(gates)
    for budget, sub in zip(budgets, found, strict=True):
        passed = [int(point["step"]) for point in made.trace if point["complexity"] <= budget]
        assert passed, f"the path never came below {budget}"
        # Weights as of the first step below the budget.
        assert sub.state is not None and sub.state["head.bias"].tolist() == [passed[0]] * CLASSES
    assert bool(found[0].mask.all())


def test_held_out_data_does_not_enter_inherited_statistics() -> None:
    made = problem("channel", (1.0, 0.9), build=Normed)
    first, last = searched(made, RestartLaw(made, 4, 1, 2), replace(SETTINGS, steps=4, lr=1e-6))
    assert first.state is not None and last.state is not None
    # Two warm-up steps; then one training step before each of the four held-out batches.
    assert int(first.state["norm.num_batches_tracked"]) == 3
    assert int(last.state["norm.num_batches_tracked"]) == 6
    alone = RestartLaw(problem("channel", build=Normed), 4, 1, 2)
    for step in range(4):
        state = alone.sample(step, lambda: torch.ones(4))
    assert torch.equal(last.state["norm.running_mean"], state["norm.running_mean"])


class Wide(nn.Module):
    """Groups of 8, 12 and 10 channels in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 12, 3, padding=1)
        self.third = nn.Conv2d(12, 10, 3, padding=1)
        self.head = nn.Linear(10, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.second(self.norm(self.first(x)).relu()).relu()
        return self.head(self.third(maps).relu().mean((2, 3)))


class Permuted(InitialLaw):
    """The init law with the channels of every layer in another order: the same functions of the image."""

    def __init__(self, problem: Problem, orders: list[Tensor]) -> None:
        super().__init__(problem)
        self.orders = orders

    def sample(self, step: int, gates: Gates) -> State:
        state = super().sample(step, gates)
        first, second, third = self.orders
        for name in ("first.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
            state[name] = state[name][first]
        state["second.weight"], state["second.bias"] = (
            state["second.weight"][second][:, first],
            state["second.bias"][second],
        )
        state["third.weight"], state["third.bias"] = state["third.weight"][third][:, second], state["third.bias"][third]
        state["head.weight"] = state["head.weight"][:, third]
        return state


def test_permuting_the_units_of_a_group_does_not_change_the_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, steps=20, tied=True)
    plain = problem("channel", (0.5, 0.2), build=Wide)
    draw = torch.Generator().manual_seed(0)
    space = plain.space
    orders = [torch.randperm(size, generator=draw) for size in space.sizes]
    found = searched(plain, InitialLaw(plain), settings)

    rungs = ladder(space)
    permuted = torch.cat([part[order] for part, order in zip(rungs.split(space.sizes), orders, strict=True)])
    monkeypatch.setattr(module, "ladder", lambda _space: permuted)
    other = problem("channel", (0.5, 0.2), build=Wide)
    again = searched(other, Permuted(other, orders), settings)
    for one, two in zip(found, again, strict=True):
        parts = zip(one.mask.split(space.sizes), two.mask.split(space.sizes), orders, strict=True)
        for plain_part, permuted_part, order in parts:
            assert torch.equal(plain_part[order], permuted_part)
            kept = int(plain_part.sum())
            assert kept == int(permuted_part.sum()) and bool(plain_part[:kept].all())
    widths = [[int(part.sum()) for part in sub.mask.split(space.sizes)] for sub in found]
    # Not trivially so: the search moved away from uniform scaling.
    assert [point["loss"] for point in plain.trace] == pytest.approx([p["loss"] for p in other.trace], rel=1e-4)
    uniform = [[int(p.sum()) for p in space.project(rungs, b).split(space.sizes)] for b in (0.5, 0.2)]
    assert widths != uniform


def test_tied_units_move_by_the_gradient_of_their_common_shift() -> None:
    space = space_of(TwoConvolutions, "channel")
    tied, free = Units.of(space, True, "cpu"), Units.of(space, False, "cpu")
    assert tied.group is not None and tied.group.tolist() == [0, 0, 1, 1, 1]
    gradient = torch.tensor([1.0, 3.0, 3.0, 0.0, 6.0])
    assert tied.moved(gradient).tolist() == [4, 4, 9, 9, 9]
    assert free.moved(gradient).tolist() == gradient.tolist() and free.start.tolist() == [1.0] * 5
    torch.testing.assert_close(tied.start, ladder(space))


def test_blocks_are_widths_of_one_beside_tied_channels() -> None:
    space = space_of(resnet, "block+channel")
    blocks = space.groups[:3]
    assert sum(group.size for group in blocks) == 9
    units = Units.of(space, True, "cpu")
    expected = [*range(9), *(9 + place for place, group in enumerate(space.groups[3:]) for _ in range(group.size))]
    assert units.group is not None and units.group.tolist() == expected
    torch.testing.assert_close(units.start[:9], torch.full((9,), math.log(2)))
    for group in space.groups[3:]:
        rungs = torch.log(group.size / (torch.arange(group.size) + 0.5))
        torch.testing.assert_close(units.start[space.offsets[group.name]], rungs)
    # A channel pulls its whole group, a block only itself.
    gradient = torch.zeros(space.n)
    gradient[[2, 9]] = torch.tensor([3.0, 5.0])
    moved = units.moved(gradient)
    assert moved[:9].tolist() == [0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert moved[9:].tolist() == [5.0] * space.groups[3].size + [0.0] * (space.n - 9 - space.groups[3].size)


def test_blocks_and_channels_are_scaled_apart() -> None:
    space = space_of(resnet, "block+channel")
    units = Units.of(space, True, "cpu")
    assert units.kinds == (9, space.n - 9)
    gradient = torch.cat([torch.full((9,), 3.0), torch.full((space.n - 9,), -200.0)])
    squares = units.mean_squares(gradient)
    assert squares == [9.0, 40000.0]
    assert units.scaled(gradient, squares).tolist() == [1.0] * 9 + [-1.0] * (space.n - 9)
    # A gradient that is zero stays so.
    assert not units.scaled(torch.zeros(space.n), [0.0, 0.0]).any()
    for granularity in ("channel", "weight", "block"):
        alone = space_of(vgg, granularity)
        assert Units.of(alone, False, "cpu").kinds == (alone.n,)


class Normalised(nn.Module):
    """Every reader of the group's channels is normalised by the statistics of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6, eps=1e-12)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.norm(self.second(torch.tanh(self.first(x))))).mean((2, 3)))


def towards(made: Problem, group: str, gates: Tensor) -> tuple[Tensor, Tensor]:
    """The gates of one group, and the derivative of a loss with respect to them; all other gates are open."""
    state = {name: tensor.double() for name, tensor in made.draw(0).items()}
    ((images, labels),) = made.batches(made.validation, made.recipe.model_copy(update={"steps": 1}), "scores")
    place = made.space.offsets[group]
    a = torch.ones(made.space.n, dtype=torch.float64)
    a[place] = gates.double()
    a.requires_grad_()
    loss = F.cross_entropy(made.gated_logits(state, a, images.double()), labels)
    return a.detach()[place], torch.autograd.grad(loss, a)[0][place]


def test_behind_batch_norm_the_gradient_at_hard_gates_says_nothing_about_a_width() -> None:
    made = problem("channel", (0.5,), build=Normalised)
    made.network.double()
    for gates in ([1, 1, 1, 1], [1, 0, 1, 0], [0.9, 0.2, 0.5, 0.05]):
        a, gradient = towards(made, "first", torch.tensor(gates))
        assert float(gradient.abs().max()) > 1e-4
        # Batch norm undoes a common factor of the gates, so the loss is constant along it (docs/method.md, 3.5).
        assert abs(float((a * gradient).sum())) < 1e-9
    # The head's reader is not normalised: there, the units that are on do tell.
    a, gradient = towards(made, "second", torch.ones(6))
    assert abs(float((a * gradient).sum())) > 1e-4


def test_a_penalty_rises_and_looks_at_no_budget() -> None:
    made = problem("channel", (0.5,), build=TwoConvolutions)
    search(made, Marked(made), Penalty(8.0), replace(SETTINGS, steps=4), made.budgets, made.progress)
    assert [point["multiplier"] for point in made.trace] == [2, 4, 6, 8]


def test_the_gap_between_relaxed_and_discrete_is_noted_and_none_at_hard_gates() -> None:
    soft = problem("channel", (0.5, 0.3))
    found = searched(soft, InitialLaw(soft), replace(SETTINGS, steps=6, tau_low=1.0, tied=True))
    assert any(sub.notes["relaxed"] != sub.notes["discrete"] for sub in found)
    assert all(0 <= sub.notes[name] <= 1 for sub in found for name in ("relaxed", "discrete"))
    hard = problem("channel", (1.0,))
    (sub,) = searched(hard, InitialLaw(hard), replace(SETTINGS, steps=2, tied=True))
    assert sub.notes["relaxed"] == sub.notes["discrete"]


def test_the_search_uses_the_recipes_batches() -> None:
    made = problem("channel", (0.5,), recipe=RECIPE.model_copy(update={"batch": 7}))
    searched(made, InitialLaw(made), replace(SETTINGS, steps=5))
    # And one look at the relaxed and one at the discrete network, on all held-out images.
    assert made.flops == 6 * made.dense_macs * 5 * 7 + 2 * 2 * made.dense_macs * len(made.validation)


def test_weights_are_trained_as_those_of_architectures_around() -> None:
    made = problem("channel", (0.5,), build=Wide)
    seen: list[Tensor] = []

    class Spied(RestartLaw):
        def sample(self, step: int, gates: Gates) -> State:
            def noted() -> Tensor:
                seen.append(gates())
                return seen[-1]

            return super().sample(step, noted)

    searched(made, Spied(made, 6, 2, 2), replace(SETTINGS, tied=True, spread=1.0))
    assert len(seen) == 2 * (2 + 3)  # every weight step asks anew, those of both warm-ups too
    widths = [[int(part.sum()) for part in gates.split(made.space.sizes)] for gates in seen]
    assert all(set(gates.tolist()) <= {0.0, 1.0} for gates in seen)
    assert all(min(kept) >= 1 for kept in widths) and len({tuple(kept) for kept in widths}) > 5
