"""DAP's parameters: what they refuse, and which search they ask for."""

from typing import Any

import pytest
import torch
from problems import RECIPE, problem, resnet

from benchmark.config.params import parse
from benchmark.dap import pruner
from benchmark.dap.cost_weight import CostWeight, Penalty
from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw, WeightLaw
from benchmark.dap.search import Settings
from benchmark.dap.trade import Traded
from benchmark.dap.units import ladder
from benchmark.errors import BenchError
from benchmark.pruning.problem import Problem


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tau_low": 2.0, "tau_high": 1.0}, r"tau_low \(2\.0\) must not exceed tau_high \(1\.0\)"),
        (
            {"tau_low": 0.5, "tau_high": 1.0, "anneal_from": 0.2},
            r"anneal_from \(0\.2\) must not lie below tau_low \(0\.5\)",
        ),
        ({"steps": 2, "restarts": 3}, r"restarts \(3\) must not exceed steps \(2\)"),
        ({"tau_low": -0.1}, "tau_low: expected"),
        ({"tau_high": 0.0}, "tau_high: expected"),
        ({"hold": 1.0}, "hold: expected"),
        ({"travel": float("nan")}, "travel: expected"),
        ({"near": 1.0}, "near: expected"),
        ({"lengths": [1.0, -1.0]}, "lengths.1: expected"),
        ({"lengths": []}, "lengths: at least one value is needed"),
        ({"law": "none"}, "law: expected"),
        ({"warm_up": 3}, "warm_up: unknown key; did you mean 'warmup'"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        parse(pruner.DAP.Parameters, given, "here")


def test_equal_temperatures_are_the_one_temperature_case() -> None:
    given = {"tau_low": 1.0, "tau_high": 1.0, "anneal_from": None}
    assert parse(pruner.DAP.Parameters, given, "here").tau_low == 1.0


def test_two_temperatures_are_the_default() -> None:
    settings = pruner.DAP.Parameters()
    assert settings.tau_low == 0.0 < settings.tau_high  # ends at the hard step, under a wider slope


@pytest.mark.parametrize(
    ("granularity", "given", "law", "exchangeable"),
    [
        ("channel", {}, RestartLaw, True),
        ("channel", {"law": "init"}, InitialLaw, True),
        ("channel", {"law": "pretrained"}, PretrainedLaw, False),
        ("weight", {"law": "init"}, InitialLaw, False),
        ("weight", {}, RestartLaw, False),
        ("channel", {"exchangeable": False}, RestartLaw, False),
        ("channel", {"law": "pretrained", "exchangeable": True}, PretrainedLaw, True),
    ],
)
def test_units_are_tied_where_the_law_makes_them_exchangeable(
    granularity: str,
    given: dict[str, Any],
    law: type[WeightLaw],
    exchangeable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ((used, _, settings, *_),) = asked(granularity, given, monkeypatch)
    assert type(used) is law and settings.tied == exchangeable
    parameters = parse(pruner.DAP.Parameters, given, "here")
    for name in ("tau_low", "tau_high", "anneal_from", "hold"):
        assert getattr(settings, name) == getattr(parameters, name)


Asked = tuple[WeightLaw, CostWeight, Settings, tuple[float, ...], Any]


def asked(granularity: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, steps: int = 9) -> list[Asked]:
    """What DAP with these parameters asks the search for, where the source recipe has so many steps."""
    calls: list[Asked] = []

    def search(_problem: Problem, *wanted: Any) -> list[Any]:
        calls.append(wanted)  # type: ignore[arg-type]
        return []

    monkeypatch.setattr(pruner, "search", search)
    recipe = RECIPE.model_copy(update={"steps": steps})
    parameters = parse(pruner.DAP.Parameters, {"near": None, **given}, "here")
    pruner.DAP(parameters).search(problem(granularity, (0.5, 0.2), recipe=recipe))
    return calls


def test_lengths_follow_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    ((law, _, settings, *_),) = asked("channel", {}, monkeypatch, steps=13)
    assert isinstance(law, RestartLaw)
    assert (settings.steps, law.warmup, law.length) == (3, 3, 3)
    assert settings.lr == pytest.approx(4.0 / 3)
    ((law, _, settings, *_),) = asked("channel", {"steps": 10, "warmup": 0, "restarts": 1}, monkeypatch)
    assert isinstance(law, RestartLaw)
    assert (settings.steps, law.warmup, law.length) == (10, 0, 10)
    assert settings.lr == pytest.approx(0.4)


def test_budgets_share_a_search_or_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [budgets for _, _, _, budgets, _ in asked("channel", {}, monkeypatch)] == [(0.5, 0.2)]
    each = asked("channel", {"searches": "each", "constraint": "penalty", "highest": 3.0}, monkeypatch)
    assert [budgets for _, _, _, budgets, _ in each] == [(0.5,), (0.2,)]
    assert [pressure for _, pressure, *_ in each] == [Penalty(3.0), Penalty(3.0)]
    assert each[0][1] is not each[1][1] and each[0][0] is not each[1][0]


def traded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Problem, Settings]]:
    """The problems and settings that DAP hands to the trade of widths; every width is said to have grown alike."""
    calls: list[tuple[Problem, Settings]] = []

    def trade(close: Problem, law: WeightLaw, settings: Settings) -> Traded:
        calls.append((close, settings))
        close.charge(1, 1)
        close.trace.append({"step": 0, "loss": 1.0})
        return Traded(torch.zeros(len(close.space.groups)), close.draw(0), 0.5, 0.25)

    monkeypatch.setattr(pruner, "trade", trade)
    return calls


def test_near_a_budget_every_budget_is_searched_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = traded(monkeypatch)
    made = problem("channel", (0.5, 0.2, 0.1), recipe=RECIPE.model_copy(update={"steps": 9}))
    found = pruner.DAP(pruner.DAP.Parameters()).search(made)
    # The large model costs less than three times the first budget, so that one starts from it.
    totals = [close.space.total for close, _ in calls]
    assert totals[0] == made.space.total > totals[1] > totals[2]
    for budget, total in zip((0.5, 0.2, 0.1), totals, strict=True):
        assert total <= max(3 * budget * made.space.total, total)
    assert all((s.steps, s.lr, s.tied, s.on) == (2, 0.5, True, None) for _, s in calls)
    assert [sub.budget for sub in found] == [0.5, 0.2, 0.1]
    assert all(sub.notes == {"relaxed": 0.5, "discrete": 0.25, "length": 0.0} for sub in found)
    assert [point["step"] for point in made.trace] == [0, 1, 2]  # one trace, without a gap
    # The weights of the nearby network, in their places: zero where it has none.
    for sub, (close, _) in zip(found, calls, strict=True):
        assert sub.state is not None
        kept = sum(int((tensor != 0).sum()) for name, tensor in sub.state.items() if name.endswith("0.weight"))
        assert 0 < kept <= sum(p.numel() for name, p in close.network.named_parameters() if name.endswith("0.weight"))


def test_trainings_decide_how_far_widths_go(monkeypatch: pytest.MonkeyPatch) -> None:
    traded(monkeypatch)
    made = problem("channel", (0.2,))
    tried: list[list[torch.Tensor]] = []

    def last(_problem: Problem, masks: list[torch.Tensor], spend: float) -> torch.Tensor:
        assert spend == 0.3
        tried.append(masks)
        return masks[-1]

    monkeypatch.setattr(pruner, "halved", last)
    (sub,) = pruner.DAP(pruner.DAP.Parameters(lengths=[0.5, 4.0], confirm=0.3)).search(made)
    assert len(tried) == 1 and len(tried[0]) == 2
    assert torch.equal(sub.mask, tried[0][-1])


def test_where_all_widths_fit_nothing_is_traded(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = traded(monkeypatch)
    made = problem("block+channel", (0.9,), build=resnet)
    monkeypatch.setattr(pruner, "starting_blocks", lambda *_: torch.tensor([True, False, False] * 3))
    (sub,) = pruner.DAP(pruner.DAP.Parameters()).search(made)
    assert calls == [] and sub.state is None
    assert bool(sub.mask[9:].all())  # what is left of the budget goes to blocks that were left out
    assert int(sub.mask[:9].sum()) > 3


@pytest.mark.parametrize(
    ("granularity", "given"),
    [("weight", {}), ("channel", {"exchangeable": False}), ("channel", {"law": "pretrained"}), ("block", {})],
)
def test_only_tied_widths_are_traded(granularity: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = traded(monkeypatch)
    asked_for: list[Any] = []
    monkeypatch.setattr(pruner, "search", lambda *wanted: asked_for.append(wanted) or [])
    made = problem(granularity, (0.9,), build=resnet)
    pruner.DAP(pruner.DAP.Parameters(**given, trials=0.0)).search(made)
    assert calls == [] and len(asked_for) == 1


def test_equal_shares_alone_need_no_trade(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = traded(monkeypatch)
    made = problem("channel", (0.2,))
    (sub,) = pruner.DAP(pruner.DAP.Parameters(lengths=[0.0])).search(made)
    assert calls == [] and made.flops == 0
    assert torch.equal(sub.mask, made.space.project(ladder(made.space), 0.2))
