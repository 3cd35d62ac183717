import random

import pytest
from hand_made import ROWS, only, params_of, row, summarise

from benchmark.analysis.grid import CellKey
from benchmark.analysis.noise import pairing, pooled, split


def cell(seed, accuracies, **changes):
    """Rows of a seed: a line of accuracies per retraining, by draw."""
    return [
        row("dap", 0.1, seed, d, a, retraining=r, **changes)
        for r, line in enumerate(accuracies)
        for d, a in enumerate(line)
    ]


def test_correlation_by_hand():
    ours = {0: 0.1, 1: 0.2, 2: 0.3}
    assert pooled([(ours, {0: 0.5, 1: 0.6, 2: 0.7})]) == pytest.approx((1.0, 0.0)), "paired differences do not vary"
    assert pooled([(ours, {0: 0.7, 1: 0.6, 2: 0.5})]) == pytest.approx((-1.0, 2.0)), "pairing doubles the variance"
    # Variances 0.01 and 0.0004, covariance 0.001: half of the root of their product. 1 - 0.002 / 0.0104.
    assert pooled([(ours, {0: 0.50, 1: 0.54, 2: 0.52})]) == pytest.approx((0.5, 1 - 0.002 / 0.0104))
    # Pooled over both places: covariances 0.01 - 0.01, so nothing.
    assert pooled([(ours, ours), (ours, {0: 0.3, 1: 0.2, 2: 0.1})]) == pytest.approx((0.0, 1.0))
    assert pooled([({0: 0.1, 1: 0.2}, {0: 0.1, 1: 0.2})]) is None, "two seeds"
    assert pooled([(ours, dict.fromkeys(ours, 0.5))]) is None, "nothing varies with nothing"


def test_pairing_is_with_the_reference_where_the_headline_is(tmp_path):
    (found,) = summarise(tmp_path, ROWS)["pairing"]
    assert (found["method"], found["correlation"]) == ("uniform", pytest.approx(1.0))
    # Deviations 0.06 and 0.05: (0.01 / 0.06)^2 + ... = 0.01^2 / (0.06^2 + 0.05^2).
    assert found["variance"] == pytest.approx(0.01**2 / (0.06**2 + 0.05**2), rel=1e-4)
    place = CellKey("channel", "dap", "", "fresh", "t", 0.1, 1)
    values = {place: {0: 0.1, 1: 0.2, 2: 0.3}, place._replace(method="uniform"): {0: 0.1, 1: 0.2, 2: 0.3}}
    assert pairing(values, "dap", {"weights": "fresh", "target": "t", "shots": 5}) == []


def test_parts_of_a_variance_by_hand():
    # Seeds 0.5, 0.6 and 0.7; two retrainings 0.02 apart; two draws 0.04 apart; nothing else.
    seeds = {s: cell(s, [[m - 0.03, m + 0.01], [m - 0.01, m + 0.03]]) for s, m in ((0, 0.5), (1, 0.6), (2, 0.7))}
    found = split(seeds)
    assert found is not None
    assert found.total == pytest.approx(0.01)
    # Variances of two values x apart are x^2 / 2, of their mean x^2 / 4.
    assert (found.episodes, found.retrainings) == (pytest.approx(0.04**2 / 4), pytest.approx(0.02**2 / 4))


def test_what_draws_and_retrainings_only_share_is_no_retraining():
    # An interaction alone: +x and -x crossed. Retrainings and draws have equal means.
    found = split({s: cell(s, [[0.5 + 0.01, 0.5 - 0.01], [0.5 - 0.01, 0.5 + 0.01]]) for s in range(3)})
    assert found is not None and (found.episodes, found.retrainings) == (pytest.approx(0.0), 0.0)


def test_rows_that_are_means_over_episodes():
    rows = {s: cell(s, [[0.5 + 0.1 * s]], measure="nearest", episodes=100, episode_sd=0.2) for s in range(3)}
    found = split(rows)
    assert found is not None and (found.total, found.episodes, found.retrainings) == (
        pytest.approx(0.01),
        pytest.approx(0.2**2 / 100),
        None,
    )
    assert split({s: cell(s, [[0.5 + 0.1 * s]]) for s in range(3)}).episodes is None, "one episode says nothing"
    assert split({s: found for s, found in rows.items() if s < 2}) is None, "two seeds"
    assert split({s: cell(s, [[0.5, 0.6], [0.5]]) for s in range(3)}) is None, "a retraining lacks a draw"


def test_parts_are_found_again_in_random_rows():
    """Of a known model: seeds 0.05, retrainings 0.04, episodes 0.03, the rest 0.02; means over 2 and 4."""
    normal = random.Random(0).gauss
    seeds = {}
    for s in range(400):
        centre, lines = 0.5 + normal(0, 0.05), [normal(0, 0.04) for _ in range(2)]
        columns = [normal(0, 0.03) for _ in range(4)]
        seeds[s] = cell(s, [[min(1, max(0, centre + r + d + normal(0, 0.02))) for d in columns] for r in lines])
    found = split(seeds)
    assert found is not None and found.episodes is not None and found.retrainings is not None
    assert found.retrainings == pytest.approx(0.04**2 / 2, rel=0.15)
    assert found.episodes == pytest.approx(0.03**2 / 4 + 0.02**2 / 8, rel=0.15)
    assert found.total - found.episodes - found.retrainings == pytest.approx(0.05**2, rel=0.15)


def test_shares_are_in_the_summary(tmp_path):
    found = only(summarise(tmp_path, ROWS)["variances"], method="dap")
    # Seeds deviate by 0.06; draws are 0.04 apart.
    assert found["sd"] == pytest.approx(0.06)
    assert (found["episodes"], found["retrainings"]) == (pytest.approx(0.0004 / 0.0036, rel=1e-4), None)
    assert found["seeds"] == pytest.approx(1 - 0.0004 / 0.0036, rel=1e-4)
    assert summarise(tmp_path, ROWS, params_of(grid={"seeds": [0]}))["variances"] == []
