import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ConfigDict

from benchmark.config.params import Section
from benchmark.errors import BenchError
from benchmark.files import canonical_json, sha256
from benchmark.jobs import store as store_module
from benchmark.jobs import stored as stored_module
from benchmark.jobs.damage import DamagedJob
from benchmark.jobs.job import Job, JobOutput, Spec
from benchmark.jobs.store import Store

TIMING = {"started": 1.0, "seconds": 2.0, "peak_mb": 3.0}


class Plain(Spec):
    kind: ClassVar[str] = "plain"
    module: ClassVar[str] = "benchmark.seeds"  # it has no compute, but a fingerprint

    model_config = ConfigDict(extra="allow")

    seed: int | float | bool | None = None
    other: int = 3


class Elsewhere(Plain):
    module: ClassVar[str] = "benchmark.analysis.rows"


class Values(Section):
    accuracy: float = 0.25


def job(**spec):
    return Job(Plain(**spec))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def stored(store):
    one = job(seed=0)
    store.put(one, JobOutput(Values(), {"final.bin": b"weights"}), TIMING)
    return one


def visible(store):
    return [path for path in store.root.glob("*/*") if path.parent.name != "tmp"]


def test_the_key_follows_the_spec_and_the_code_and_nothing_else():
    assert job(seed=1).key == job(seed=1).key and len(job().key) == 64
    assert len({job(seed=1).key, job(seed=1.0).key, job(seed=True).key, job(other=4).key, job().key}) == 5
    other = Job(Plain(seed=1), inputs={"state": "elsewhere"}, label="name", hint=7.0)
    assert other.key == job(seed=1).key
    assert Job(Plain(seed=1), modules=("benchmark.analysis.rows",)).key != job(seed=1).key
    assert Job(Elsewhere(seed=1)).key != job(seed=1).key


def test_an_option_at_its_default_is_not_in_the_key():
    assert job(other=3).key == job().key


def test_a_spec_that_is_not_json_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = job(seed=float("nan")).key


def test_round_trip(store, stored):
    assert store.has(stored.key)
    result = store.verify(stored.key)
    assert result.values == {"accuracy": 0.25}
    assert result.timing == TIMING
    assert result.files["final.bin"].read_bytes() == b"weights"
    assert store.folder(stored.key) == store.root / stored.key[:2] / stored.key
    assert sorted(path.name for path in store.folder(stored.key).iterdir()) == ["final.bin", "job.json", "timing.json"]
    record = json.loads((store.folder(stored.key) / "job.json").read_text())
    assert record["spec"] == {"seed": 0}
    assert record["kind"] == "plain"


def test_a_job_that_is_not_there(store):
    assert not store.has("ab" * 32)
    with pytest.raises(KeyError):
        store.get("ab" * 32)


def test_the_first_of_two_wins(store, stored):
    store.put(stored, JobOutput(Values(accuracy=0.75)), {**TIMING, "seconds": 9.0})
    assert store.verify(stored.key).values == {"accuracy": 0.25}
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["../escape", "a/b", "job.json", "timing.json"])
def test_file_names_stay_inside_the_job(store, name):
    with pytest.raises(ValueError, match="plain file name"):
        store.put(job(), JobOutput(Values(), {name: b""}), TIMING)


def damage_truncated(folder):
    (folder / "job.json").write_bytes((folder / "job.json").read_bytes()[:40])


def damage_missing_record(folder):
    (folder / "job.json").unlink()


def damage_value(folder):
    (folder / "job.json").write_text((folder / "job.json").read_text().replace("0.25", "0.95"))


def damage_schema(folder):
    (folder / "job.json").write_text((folder / "job.json").read_text().replace('"schema":1', '"schema":2'))


def damage_not_a_record(folder):
    (folder / "job.json").write_text("[1, 2]")


def damage_size(folder):
    (folder / "final.bin").write_bytes(b"weight")


def damage_missing_file(folder):
    (folder / "final.bin").unlink()


def damage_timing(folder):
    (folder / "timing.json").write_text("{")


def damage_timing_is_a_list(folder):
    (folder / "timing.json").write_text("[1, 2]")


def damage_timing_is_no_number(folder):
    (folder / "timing.json").write_text('{"started": 1.0, "seconds": 1e999, "peak_mb": 3.0}')


def damage_timing_lacks_seconds(folder):
    (folder / "timing.json").write_text('{"started": 1.0}')


def damage_deep(folder):
    (folder / "job.json").write_text("[" * 100_000 + "]" * 100_000)


def damage_deep_value(folder):
    record = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**record, "values": {"a": nested(300)}}))


def damage_binary(folder):
    (folder / "job.json").write_bytes(b"\xff\xfe" + bytes(range(256)))


def forge(folder, **changes):
    """A record whose checksum is right all the same."""
    body = json.loads((folder / "job.json").read_text()) | changes
    del body["checksum"]
    (folder / "job.json").write_text(json.dumps({**body, "checksum": sha256(canonical_json(body))}))


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def damage_files_is_a_list(folder):
    forge(folder, files=["final.bin"])


def damage_a_size_is_text(folder):
    forge(folder, files={"final.bin": {"size": "7", "sha256": "0"}})


def damage_a_path_climbs_out(folder):
    (folder.parent / "outside").write_bytes(b"weights")
    forge(folder, files={"../outside": {"size": 7, "sha256": sha256(b"weights")}})


def damage_values_is_a_number(folder):
    forge(folder, values=1.5)


@pytest.mark.parametrize("damage", [value for name, value in sorted(globals().items()) if name.startswith("damage_")])
def test_a_damaged_job_is_refused_with_the_remedy(store, stored, damage):
    damage(store.folder(stored.key))
    assert store.has(stored.key)
    with pytest.raises(BenchError) as caught:
        store.get(stored.key)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(store.folder(stored.key)))
    assert "damaged job" in message
    assert message.endswith("remove that folder and run again")


def test_a_job_under_another_key_is_refused(store, stored):
    other = stored.key[:2] + "0" * 62
    store.folder(stored.key).rename(store.folder(other))
    with pytest.raises(BenchError, match="does not have the content that was written"):
        store.get(other)


def test_verify_reads_the_content(store, stored):
    (store.folder(stored.key) / "final.bin").write_bytes(b"weighTs")
    store.get(stored.key)
    with pytest.raises(BenchError, match=r"final\.bin does not have the content"):
        store.verify(stored.key)


def test_a_file_is_given_out_only_with_the_content_that_was_written(store, stored):
    path = store.folder(stored.key) / "final.bin"
    assert store.get(stored.key).files["final.bin"] == path
    result = store.get(stored.key)
    flipped = bytearray(path.read_bytes())
    flipped[3] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(DamagedJob, match=r"final\.bin does not have the content"):
        result.files["final.bin"]


def test_a_file_is_read_once(store, stored, monkeypatch):
    store.verify(stored.key)
    monkeypatch.setattr(stored_module, "file_sha256", lambda path: pytest.fail(f"{path} was read again"))
    store.verify(stored.key)


def test_values_of_another_kind_are_told_with_the_folder(store, stored):
    forge(store.folder(stored.key), values={"accuracy": "high"})
    with pytest.raises(BenchError, match=f"{store.folder(stored.key)}: .*accuracy.*remove that folder"):
        store.get(stored.key).read(Values)


@pytest.mark.parametrize("damage", [damage_deep, damage_a_path_climbs_out, damage_missing_file])
def test_a_damaged_job_is_set_aside_and_can_be_put_again(store, stored, damage):
    damage(store.folder(stored.key))
    place = store.set_aside(stored.key)
    assert place.parent == store.root / "damaged" and (place / "timing.json").exists()
    assert not store.has(stored.key)
    store.put(stored, JobOutput(Values(), {"final.bin": b"weights"}), TIMING)
    assert store.verify(stored.key).values == {"accuracy": 0.25}


def test_what_is_intact_or_gone_is_not_set_aside(store, stored):
    assert store.set_aside(stored.key) is None and store.has(stored.key)
    assert store.set_aside("ab" * 32) is None


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_full_disk_leaves_nothing_visible(store, monkeypatch, call):
    """The disk fills up at each of the writes in turn."""
    calls = 0

    def fsync(handle):
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store_module.os, "fsync", fsync)
    with pytest.raises(BenchError, match=r"store cannot be written \(No space left on device\); free some space"):
        store.put(job(), JobOutput(Values(), {"final.bin": b"weights"}), TIMING)
    assert visible(store) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_a_read_only_folder(store, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store_module.tempfile, "mkdtemp", refuse)
    for act in (store.sweep, lambda: store.put(job(), JobOutput(Values()), TIMING)):
        with pytest.raises(BenchError, match="Read-only file system"):
            act()


def test_sweep_takes_what_a_killed_run_left_and_nothing_else(store, stored):
    leftover = store.root / "tmp" / "left"
    leftover.mkdir(parents=True)
    (leftover / "final.bin").write_bytes(b"half")
    with store._temporary() as (in_use, _):
        (in_use / "final.bin").write_bytes(b"being written")
        store.sweep()
        assert not leftover.exists()
        assert (in_use / "final.bin").read_bytes() == b"being written"
    assert list((store.root / "tmp").iterdir()) == []
    assert store.has(stored.key)


def test_puts_survive_a_sweep_that_never_rests(store):
    """Whatever the interleaving, a sweep takes no folder that a put is using."""
    stop = threading.Event()

    def sweep():
        while not stop.is_set():
            store.sweep()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        deadline = time.monotonic() + 1.0
        number = 0
        while time.monotonic() < deadline:
            store.put(job(number=number), JobOutput(Values(), {"a.bin": b"a"}), TIMING)
            number += 1
    finally:
        stop.set()
        sweeper.join()
    assert number > 10
    assert all(store.verify(job(number=index).key) for index in range(number))
    assert isinstance(store.root, Path)
