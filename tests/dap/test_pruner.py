"""DAP's parameters: what they refuse, and which search they ask for."""

from typing import Any

import pytest
from problems import RECIPE, problem

from benchmark.config.params import parse
from benchmark.dap import pruner
from benchmark.dap.cost_weight import CostWeight, Penalty
from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw, WeightLaw
from benchmark.dap.search import Settings
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
    pruner.DAP(parse(pruner.DAP.Parameters, given, "here")).search(problem(granularity, (0.5, 0.2), recipe=recipe))
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
