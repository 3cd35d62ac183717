"""DAP's parameters: what they refuse, and which search they ask for."""

from typing import Any

import pytest
from problems import problem

from baselines import dap
from benchmark.config import parse
from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw, WeightLaw
from benchmark.dap.search import Settings
from benchmark.errors import BenchError
from benchmark.pruner import Problem


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tau_low": 2.0}, r"tau_low \(2\.0\) must not exceed tau_high \(1\.0\)"),
        ({"tau_low": 0.5, "anneal_from": 0.2}, r"anneal_from \(0\.2\) must not lie below tau_low \(0\.5\)"),
        ({"steps": 2, "restarts": 3}, r"restarts \(3\) must not exceed steps \(2\)"),
        ({"tau_low": -0.1}, "tau_low: expected"),
        ({"tau_high": 0.0}, "tau_high: expected"),
        ({"hold": 1.0}, "hold: expected"),
        ({"lr": float("nan")}, "lr: expected"),
        ({"law": "none"}, "law: expected"),
        ({"warm_up": 3}, "warm_up: unknown key; did you mean 'warmup'"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        parse(dap.DAP.Parameters, given, "here")


def test_equal_temperatures_are_the_one_temperature_case() -> None:
    assert parse(dap.DAP.Parameters, {"tau_low": 1.0}, "here").tau_low == 1.0


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
    asked: list[tuple[WeightLaw, Settings]] = []

    def search(_problem: Problem, law: WeightLaw, settings: Settings) -> list[Any]:
        asked.append((law, settings))
        return []

    monkeypatch.setattr(dap, "search", search)
    parameters = parse(dap.DAP.Parameters, given, "here")
    dap.DAP(parameters).search(problem(granularity))
    ((used, settings),) = asked
    assert type(used) is law and settings.exchangeable == exchangeable
    for name in ("steps", "tau_low", "tau_high", "anneal_from", "lr", "dual_rate", "damping", "hold"):
        assert getattr(settings, name) == getattr(parameters, name)
