"""Jobs and data sets that travel through an address."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import TINY
from toyjobs import Squared, toy

from benchmark.config.params import DatasetRef
from benchmark.data import open_prepared, prepare
from benchmark.errors import BenchError
from benchmark.jobs.depot import Depot, data_sets, needs
from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.store import Store

fsspec = pytest.importorskip("fsspec", reason="the extra `cluster` is not installed")

TIMING = {"started": 1.0, "seconds": 2.0, "peak_mb": 3.0}
DIGITS = DatasetRef(name="digits", classes=[0, 1])


@pytest.fixture(params=["memory", "file"])
def depot(request: pytest.FixtureRequest, tmp_path: Path) -> Depot:
    if request.param == "memory":
        return Depot(f"memory://{tmp_path.name}")
    return Depot(f"file://{tmp_path / 'depot'}")


def finished(store: Store, value: int = 3) -> Job:
    job = toy(store.root, value)
    store.put(job, JobOutput(Squared(square=value**2, threads=1), {"square.txt": b"nine" * value}), TIMING)
    return job


def content(store: Store, key: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder(key).iterdir()}


def test_a_job_arrives_as_it_was_sent(depot: Depot, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    job = finished(here)
    assert depot.keys() == set() and not depot.fetch(there, job.key)
    depot.send(here, job.key)
    assert depot.keys() == {job.key}
    assert depot.fetch(there, job.key)
    assert set(content(here, job.key)) == {"job.json", "timing.json", "square.txt"}
    assert content(there, job.key) == content(here, job.key)
    assert there.verify(job.key).values["square"] == 9
    assert list((there.root / "tmp").iterdir()) == []
    # Once more changes nothing.
    depot.send(here, job.key)
    assert depot.fetch(there, job.key) and depot.keys() == {job.key}


def test_a_job_that_is_half_there_is_not_there(depot: Depot, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    job = finished(here)
    depot.send(here, job.key)
    files, root = fsspec.core.url_to_fs(depot.address)
    place = f"{root}/jobs/{job.key[:2]}/{job.key}"
    files.rm(f"{place}/job.json")
    assert not Depot(depot.address).fetch(there, job.key) and Depot(depot.address).keys() == set()
    # As a second worker does, or the first one in its next attempt.
    depot.send(here, job.key)
    assert depot.fetch(there, job.key)


def test_a_job_that_is_damaged_on_the_way_is_refused(depot: Depot, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    job = finished(here)
    depot.send(here, job.key)
    files, root = fsspec.core.url_to_fs(depot.address)
    files.pipe_file(f"{root}/jobs/{job.key[:2]}/{job.key}/square.txt", b"ninenineninf")
    with pytest.raises(BenchError, match=r"square\.txt does not have the content"):
        depot.fetch(there, job.key)
    assert not there.has(job.key) and list((there.root / "tmp").iterdir()) == []


def test_a_data_set_arrives_and_takes_the_place_of_another(depot: Depot, tmp_path: Path) -> None:
    digest = prepare(DIGITS, tmp_path / "here")["digest"]
    depot.send_data(DIGITS, digest, tmp_path / "here")
    depot.fetch_data(DIGITS, digest, tmp_path / "there")
    sent, arrived = open_prepared(DIGITS, tmp_path / "here"), open_prepared(DIGITS, tmp_path / "there")
    assert arrived.digest == digest and bool((sent.images == arrived.images).all())
    (folder,) = (path for path in (tmp_path / "there").iterdir() if path.is_dir())
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"digest": "0" * 64}))
    depot.fetch_data(DIGITS, digest, tmp_path / "there")
    assert open_prepared(DIGITS, tmp_path / "there").digest == digest
    shutil.rmtree(tmp_path / "there")
    with pytest.raises(BenchError, match="--store"):
        depot.fetch_data(DIGITS, "1" * 64, tmp_path / "there")


def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = Store(tmp_path / "store")
    job = finished(store)
    for address in ("nowhere://x", f"file://{tmp_path / 'file'}"):
        with pytest.raises(BenchError, match="--store") as caught:
            Depot(address).send(store, job.key)
        assert "\n" not in str(caught.value)


def test_what_a_job_reads(tmp_path: Path) -> None:
    import fabricated
    from ruamel.yaml import YAML

    from benchmark.config.params import Params, parse

    plan = fabricated.plan_for(parse(Params, YAML(typ="safe").load(TINY), "tiny"), tmp_path)
    fabricated.everything(plan, ["random"])
    pretrain, search = plan.pretrain_jobs()[0], plan.search_jobs("random")[0]
    transfer = plan.transfer_jobs("random")[0]
    assert needs(pretrain) == [] and needs(search) == [pretrain.key]
    assert needs(transfer) == [transfer.inputs["search"]]
    assert needs(transfer)[0] in {search.key for search in plan.search_jobs("random")}
    taught = replace(transfer, spec=transfer.spec.model_copy(update={"teacher": pretrain.key}))
    assert needs(taught) == [pretrain.key, transfer.inputs["search"]]
    data = plan.config.data
    assert data_sets(pretrain) == data_sets(search) == [(data.source, plan.digests.source)]
    (source, target) = data_sets(transfer)
    assert source == (data.source, plan.digests.source)
    assert target[1] == plan.digests.targets["digits-3-5"] and target[0].classes == [3, 4, 5]
