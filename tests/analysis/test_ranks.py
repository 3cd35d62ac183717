import numpy as np
import pytest
from hand_made import ROWS, summarise

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.intervals import expanded_tail
from benchmark.analysis.ranks import rank_records, ranks

SEEDS = range(6)


def of(*means, spread=0.0):
    """Accuracies by place and seed around a mean per place; the seeds' own parts sum to zero."""
    return {
        place: {seed: mean + spread * (seed - 2.5) * (-1) ** seed for seed in SEEDS} for place, mean in enumerate(means)
    }


def test_ranks_by_hand():
    values = {"a": of(0.9, 0.5, 0.7), "b": of(0.8, 0.6, 0.7), "c": of(0.1, 0.1, 0.1), "holes": of(0.9, 0.9)}
    found = ranks(values, np.random.default_rng(0), 50)
    # a: 1, 2 and, level with b, 1.5.
    assert [(r["method"], r["rank"]) for r in found] == [("a", 1.5), ("b", 1.5), ("c", 3.0)]
    assert [(r["low"], r["high"], r["apart"]) for r in found] == [
        (1.5, 1.5, False),
        (1.5, 1.5, False),
        (3.0, 3.0, True),
    ]
    assert {(r["places"], r["seeds"]) for r in found} == {(3, 6)}


def test_what_changes_with_the_seeds_is_not_told_apart():
    values = {"a": of(0.50), "b": of(0.499, spread=0.1), "c": of(0.1)}
    found = {r["method"]: r for r in ranks(values, np.random.default_rng(0), 500)}
    assert (found["a"]["rank"], found["b"]["rank"], found["c"]["rank"]) == (1.0, 2.0, 3.0)
    assert (found["b"]["low"], found["b"]["high"], found["b"]["apart"]) == (1.0, 2.0, False)
    assert found["c"]["apart"] and not found["a"]["apart"]


def test_resamples_are_the_same_for_all_methods():
    """A shift between methods that every seed shares is seen, however much the seeds themselves differ."""
    found = ranks({"a": of(0.51, spread=0.1), "b": of(0.50, spread=0.1)}, np.random.default_rng(0), 200)
    assert [(r["method"], r["low"], r["high"], r["apart"]) for r in found] == [("a", 1, 1, False), ("b", 2, 2, True)]


def test_an_explicit_generator_repeats_itself():
    values = {"a": of(0.50), "b": of(0.5, spread=0.1)}
    first, again, other = (ranks(values, np.random.default_rng(seed), 40) for seed in (1, 1, 2))
    assert first == again and [r["method"] for r in other] == [r["method"] for r in first]


def test_few_seeds_have_ranks_but_no_intervals(tmp_path):
    few = {
        m: {p: {s: v for s, v in by.items() if s < 4} for p, by in of(mean).items()} for m, mean in (("a", 1), ("b", 0))
    }
    assert [(r["rank"], r["low"], r["apart"]) for r in ranks(few, np.random.default_rng(0))] == [
        (1.0, None, False),
        (2.0, None, False),
    ]
    assert ranks({"a": of(0.5)}, np.random.default_rng(0)) == [], "one method has no rank"
    assert [(r["method"], r["rank"], r["places"]) for r in summarise(tmp_path, ROWS)["ranks"]] == [
        ("dap", 1.0, 2),
        ("uniform", 2.0, 2),
    ]


def test_rivals_are_ranked_by_granularity_and_weights_mode():
    """What costs no search is ranked with all its variants, a search with its default alone."""

    def cell(method, variant, accuracy, search_flops, **place):
        where = {"granularity": "channel", "weights": "fresh", "target": "mnist", "shots": 5, "budget": 0.1} | place
        by_seed = [accuracy, None, accuracy]
        costs = {"pretrain_flops": 0, "search_flops": search_flops}
        return where | costs | {"method": method, "variant": variant, "by_seed": by_seed}

    cells = [
        cell("dense", "", 0.99, 0),
        cell("dap", "", 0.8, 9),
        cell("dap", "init", 0.95, 9),
        cell("shallow", "", 0.7, 0),
        cell("shallow", "one", 0.9, 0),
        cell("shallow", "one", 0.1, 0, weights="scratch"),
        cell("shallow", "one", 0.1, 0, target=OVERALL),
    ]
    found = rank_records(cells, ["channel", "weight"], "fresh")
    assert [(r["granularity"], r["method"], r["variant"], r["rank"], r["seeds"]) for r in found] == [
        ("channel", "shallow", "one", 1.0, 2),
        ("channel", "dap", "", 2.0, 2),
        ("channel", "shallow", "", 3.0, 2),
    ]


def test_the_expanded_tail_is_that_of_student():
    # Phi(-sqrt(5/4) x 2.7764) with the quantile of four degrees of freedom; many seeds have the usual 2.5 %.
    assert expanded_tail(5) == pytest.approx(0.000955, rel=5e-3)
    assert expanded_tail(2000) == pytest.approx(0.025, rel=1e-2)
