import pytest

from benchmark.analysis.grid import CellKey
from benchmark.analysis.settings import settings
from benchmark.config.ablations import Study

STUDY = Study("norm", "magnitude", ("a", "b", "absent"))
HEADLINE = {"weights": "fresh", "target": "t", "shots": 5}


def key(variant, granularity="channel", **changes):
    return CellKey(granularity, "magnitude", variant, "fresh", "t", 0.0, 5)._replace(**changes)


DEFAULT = {key(""): {0: 0.50, 1: 0.60, 2: 0.55}, key("", "weight"): {0: 0.70, 1: 0.80, 2: 0.75}}


def test_the_mean_over_granularities_by_hand():
    areas = DEFAULT | {
        key("a"): {0: 0.56, 1: 0.68, 2: 0.62},  # +6 and +8 on channels, the default on weights: +3 and +4
        key("b"): {0: 0.50, 1: 0.60, 2: 0.55},
        key("b", "weight"): {0: 0.66, 1: 0.84, 2: 0.75},  # -4 and +4 on weights: -2 and +2
        key("b", shots=1): {0: 0.9, 1: 0.9},
        key("a", method="dap"): {0: 0.9, 1: 0.9},
    }
    found = settings(STUDY, areas, HEADLINE)
    assert [(r["variant"], r["granularities"]) for r in found] == [("a", "channel"), ("b", "channel weight")]
    first, second = found
    # The third seed is half-way: deviations of the differences 0.005 and 0.02, divided by the root of three seeds.
    assert (first["difference"], first["error"]) == pytest.approx((0.035, 0.005 / 3**0.5))
    assert (second["difference"], second["error"]) == pytest.approx((0.0, 0.02 / 3**0.5))
    assert (first["ahead"], second["ahead"]) == (True, False)
    assert first["seeds"] == 3


@pytest.mark.parametrize(("gain", "ahead"), [(0.0059, True), (0.0056, False)])
def test_the_best_is_ahead_only_by_more_than_its_standard_error(gain, ahead):
    # By seed gain - 0.01, gain + 0.01 and gain in the mean over granularities: standard error 0.01 / sqrt 3 = 0.00577.
    areas = DEFAULT | {key("a"): {0: 0.50 + 2 * (gain - 0.01), 1: 0.60 + 2 * (gain + 0.01), 2: 0.55 + 2 * gain}}
    (found,) = settings(STUDY, areas, HEADLINE)
    assert found["error"] == pytest.approx(0.01 / 3**0.5)
    assert found["ahead"] is ahead


def test_one_seed_puts_nothing_ahead_and_no_default_gives_nothing():
    one = {place: {0: 0.5} for place in DEFAULT}
    (found,) = settings(STUDY, one | {key("a"): {0: 0.9}}, HEADLINE)
    assert (found["error"], found["half"], found["ahead"]) == (None, None, False)
    assert settings(STUDY, {key("a"): {0: 0.9}}, HEADLINE) == []
