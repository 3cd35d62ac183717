import pytest
from hand_made import ROWS, half_of, only, params_of, summarise

from benchmark.analysis.floors import floors
from benchmark.analysis.groups import OVERALL
from benchmark.errors import BenchError
from benchmark.files import write_json

SHOTS = {"t": [5], "u": [5, 20]}


def entry(target, seed, accuracy, shots=5, measure="nearest"):
    place = {"target": target, "seed": seed, "shots": shots, "measure": measure}
    return place | {"episodes": 100, "accuracy": accuracy, "episode_sd": 0.1}


def written(tmp_path, *entries):
    write_json(tmp_path / "floors.json", {"schema": 1, "floors": list(entries), "chance": {}})
    return tmp_path / "floors.json"


def test_floors_by_hand(tmp_path):
    values = {0: 0.2, 1: 0.4, 2: 0.3}
    entries = [entry("t", s, a) for s, a in values.items()] + [entry("u", s, a + 0.2) for s, a in values.items()]
    found = floors(written(tmp_path, *entries, entry("u", 0, 0.9, 20, "probe")), [0, 1, 2], SHOTS)
    alone = only(found, target="t")
    assert (alone["accuracy"], alone["half"], alone["seeds"]) == (pytest.approx(0.3), pytest.approx(half_of(0.2)), 3)
    assert only(found, target=OVERALL)["by_seed"] == pytest.approx([0.3, 0.5, 0.4])
    probe = only(found, measure="probe")
    assert (probe["target"], probe["shots"], probe["by_seed"], probe["half"]) == ("u", 20, [0.9, None, None], None)


def test_a_mean_over_targets_is_over_all_that_have_the_shots(tmp_path):
    found = floors(written(tmp_path, entry("t", 0, 0.2), entry("t", 1, 0.4), entry("u", 1, 0.6)), [0, 1], SHOTS)
    assert only(found, target=OVERALL)["by_seed"] == [None, pytest.approx(0.5)]
    found = floors(written(tmp_path, entry("t", 0, 0.2)), [0, 1], SHOTS)
    assert [floor["target"] for floor in found] == ["t"], "the other target was not measured"


def test_what_params_do_not_ask_for_is_left_out(tmp_path):
    path = written(tmp_path, entry("t", 7, 0.2), entry("t", 0, 0.2, shots=1), entry("v", 0, 0.2))
    assert floors(path, [0, 1, 2], SHOTS) == []


def test_without_a_file_there_are_none_and_another_schema_is_refused(tmp_path):
    assert summarise(tmp_path, ROWS, params_of())["floors"] == []
    write_json(tmp_path / "floors.json", {"schema": 2, "floors": []})
    with pytest.raises(BenchError, match="expected an object of schema 1"):
        summarise(tmp_path)
