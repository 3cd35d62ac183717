import itertools
import multiprocessing
from pathlib import Path

import pytest
from toyzoo import Fake

from benchmark.jobs.limits import Limits
from benchmark.studies.zoo import choices
from benchmark.studies.zoo.check import Row
from benchmark.studies.zoo.choices import Entry
from benchmark.studies.zoo.run import run


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def entries(marks: Path, *names: str) -> list[Entry]:
    return [Entry(name, str(marks)) for name in names]


def begun(marks: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in marks.glob("*.begun"))


def statuses(rows: list[Row]) -> dict[str, str]:
    return {row["model"]: row["status"] for row in rows}


def test_a_second_run_computes_only_what_is_missing(tmp_path: Path, marks: Path) -> None:
    told: list[tuple[str, bool]] = []

    def on_row(row: Row, fresh: bool) -> None:
        told.append((row["model"], fresh))

    rows = run(entries(marks, "b", "a"), tmp_path / "kept", 2, Limits(), on_row, Fake)
    assert [row["model"] for row in rows] == ["b", "a"]
    assert sorted(told) == [("a", True), ("b", True)]
    told.clear()
    rows = run(entries(marks, "a", "c", "b"), tmp_path / "kept", 2, Limits(), on_row, Fake)
    assert statuses(rows) == {"a": "ok", "c": "ok", "b": "ok"}
    assert told == [("a", False), ("b", False), ("c", True)]
    assert begun(marks) == ["a", "b", "c"]
    assert [row["share"] for row in rows] == [0.1 + 0.2] * 3  # a row comes back as it was, to the last digit


def test_what_exceeds_a_limit_is_refused_and_tried_again_next_time(tmp_path: Path, marks: Path) -> None:
    both = entries(marks, "sleeper", "fine")
    rows = run(both, tmp_path / "kept", 2, Limits(seconds=12), kind=Fake)
    assert statuses(rows) == {"sleeper": "refused", "fine": "ok"}
    assert rows[0]["reason"] == "took longer than 12 s"
    assert 12 <= rows[0]["seconds"] < 60
    assert not rows[0]["wrong"]
    kept: list[str] = []
    run(both, tmp_path / "kept", 2, Limits(seconds=0.1), lambda row, fresh: kept.extend([row["model"]][fresh:]), Fake)
    assert kept == ["fine"]


def test_what_needs_too_much_memory_is_refused(tmp_path: Path, marks: Path) -> None:
    rows = run(entries(marks, "eater", "fine"), tmp_path / "kept", 1, Limits(gigabytes=1.8), kind=Fake)
    assert [row["reason"] for row in rows] == ["needed more than 1.8 GB of memory", ""]


def test_a_process_that_dies_is_one_refusal_and_the_others_go_on(tmp_path: Path, marks: Path) -> None:
    rows = run(entries(marks, "killed", "leaver", "raiser", "fine"), tmp_path / "kept", 2, Limits(), kind=Fake)
    assert [row["reason"] for row in rows] == [
        "its worker process was killed by SIGKILL: the machine may be short of memory, try fewer workers",
        "its worker process ended with exit code 3",
        "ValueError: no luck",
        "",
    ]


def test_an_interrupt_ends_the_processes_and_what_is_finished_stays(tmp_path: Path, marks: Path) -> None:
    def interrupt(row: Row, fresh: bool) -> None:
        raise KeyboardInterrupt

    two = entries(marks, "fine", "sleeper")
    with pytest.raises(KeyboardInterrupt):
        run(two, tmp_path / "kept", 2, Limits(), interrupt, Fake)
    assert multiprocessing.active_children() == []
    kept: list[bool] = []
    run(two[:1], tmp_path / "kept", 1, Limits(), lambda _row, fresh: kept.append(fresh), Fake)
    assert kept == [False]


def test_large_networks_come_first_and_one_at_a_time(
    tmp_path: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "LARGE", {"large1", "large2", "large3"})
    run(entries(marks, "a", "large1", "large2", "b", "large3"), tmp_path / "kept", 2, Limits(), kind=Fake)
    times = {path.name.partition("-")[0]: {} for path in marks.iterdir()}
    for path in marks.iterdir():
        times[path.name.partition("-")[0]][path.suffix] = path.stat().st_mtime_ns
    spans = sorted((times[name][".begun"], times[name][".done"]) for name in ("large1", "large2", "large3"))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert times["large1"][".begun"] < times["large2"][".begun"] < times["large3"][".begun"]
    assert times["b"][".begun"] < times["large3"][".begun"]


def test_a_real_network_is_checked_in_a_process(tmp_path: Path) -> None:
    rows = run([Entry("torchvision:squeezenet1_1", "squeezenet")], tmp_path / "kept", 1, Limits())
    assert [(row["model"], row["status"], row["reason"]) for row in rows] == [("torchvision:squeezenet1_1", "ok", "")]
