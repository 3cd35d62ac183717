"""The table of Top-5 accuracies, by hand."""

from pathlib import Path

from hand_made import ROWS, half_of, only, params_of, summarise

from benchmark.analysis.groups import OVERALL
from benchmark.files import write_json
from benchmark.report import top_five
from benchmark.report.labels import NBSP
from benchmark.report.view import View

TWO = {"targets": {"t": {}, "u": {}}}


def with_top5(rows):
    """The rows on two targets; Top-5 is half-way between Top-1 and 1, and a tenth more on the second."""
    return {
        method: [
            row.model_copy(update={"target": target, "top5": (1 + row.accuracy) / 2 + more})
            for row in found
            for target, more in (("t", -0.05), ("u", 0.05))
        ]
        for method, found in rows.items()
    }


def test_means_and_intervals_are_over_seeds_and_every_target_counts_the_same(tmp_path: Path) -> None:
    place = {"measure": "nearest", "shots": 5, "episodes": 9, "episode_sd": 0.1}
    floors = [
        {**place, "target": target, "seed": seed, "accuracy": 0.2, "top5": 0.4 + more + 0.1 * at}
        for target, more in (("t", 0.0), ("u", 0.1))
        for seed, at in ((0, 0.0), (1, 1.0), (2, 0.5))
    ]
    write_json(tmp_path / "floors.json", {"schema": 1, "floors": floors, "chance": {}})
    summary = summarise(tmp_path, with_top5(ROWS), params_of(**TWO))
    found = only(summary["cells"], method="uniform", budget=0.1, target=OVERALL)
    # Top-1 is .61 to .71 over seeds with the mean .66, so Top-5 is .805 to .855 with the mean .83.
    assert abs(found["accuracy"] - 0.66) < 1e-6 and abs(found["top5"] - 0.83) < 1e-6
    assert abs(found["top5_half"] - half_of(0.05)) < 1e-5
    text = top_five.markdown(View(summary))
    assert f"| uniform width | 83.0{NBSP}±{NBSP}6.2 | 83.0{NBSP}±{NBSP}6.2 |" in text
    assert f"dense (100{NBSP}%): 95.0{NBSP}±{NBSP}0.0" in text.lower()
    assert f"50.0{NBSP}±{NBSP}12.4" in text  # raw pixels: .45 to .55 over seeds
    assert text.count("| method |") == 3  # the mean over targets, and each


def test_without_it_there_is_no_table(tmp_path: Path) -> None:
    summary = summarise(tmp_path, ROWS)
    assert "top5" not in only(summary["cells"], method="uniform", budget=0.1)
    assert top_five.markdown(View(summary)) == ""
