"""Which jobs become possible when: all those of the step-by-step run, each once, none too early."""

import random
from pathlib import Path

import fabricated
import pytest
from tiny import rich

from benchmark.config.params import Params, load_params, parse
from benchmark.jobs.job import Job
from benchmark.pipeline.flow import Flow
from benchmark.pipeline.plan import Digests, Plan


@pytest.fixture
def params(tiny_params: Path) -> Params:
    return load_params(tiny_params)


@pytest.fixture
def tuned() -> tuple[Params, Digests]:
    return parse(Params, rich(), "params.yaml"), Digests("s" * 64, {"two-ways": "t" * 64, "merged": "u" * 64})


def finished(params: Params, root: Path, digests: Digests) -> Plan:
    """A plan whose every job is finished, in a store of its own."""
    plan = fabricated.plan_for(params, root, digests=digests)
    fabricated.everything(plan)
    return plan


def publish(job: Job, done: Plan, plan: Plan) -> None:
    """Finish a job as it is finished elsewhere."""
    target = plan.store.folder(job.key)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(done.store.folder(job.key))


def drained(plan: Plan, done: Plan, failing: frozenset[str] = frozenset(), seed: int = 0) -> list[Job]:
    """Settle the jobs of a plan's flow in a random order, by labels failing or not; returns them as they came."""
    flow, draw = Flow([(plan, plan.methods)]), random.Random(seed)
    waiting, came = flow.first(), []
    came += waiting
    while waiting:
        job = waiting.pop(draw.randrange(len(waiting)))
        if job.label not in failing:
            publish(job, done, plan)
        following = flow.after(job, job.label not in failing)
        waiting += following
        came += following
    return came


def keys(plan: Plan) -> set[str]:
    jobs: list[Job] = [*plan.pretrain_jobs(), *plan.tune_jobs()]
    for method in plan.methods:
        jobs += plan.search_jobs(method)
        jobs += plan.transfer_jobs(method)
    return {job.key for job in jobs}


@pytest.mark.parametrize("seed", range(3))
def test_all_jobs_come_once_whatever_the_order(params: Params, tmp_path: Path, seed: int) -> None:
    done = finished(params, tmp_path / "done", fabricated.DIGESTS)
    plan = fabricated.plan_for(params, tmp_path / "new")
    came = [job.key for job in drained(plan, done, seed=seed)]
    assert len(came) == len(set(came)) and set(came) == keys(done)


def test_a_search_comes_with_its_pretraining(params: Params, tmp_path: Path) -> None:
    """And what it found with the last of the searches that may have found the same, not with the last of all."""
    done = finished(params, tmp_path / "done", fabricated.DIGESTS)
    plan = fabricated.plan_for(params, tmp_path / "new")
    flow = Flow([(plan, plan.methods)])
    first, second = flow.first()
    assert {job.kind for job in (first, second)} == {"pretrain"}
    publish(second, done, plan)
    searches = flow.after(second, True)
    assert {job.kind for job in searches} == {"search"} and {job.spec.seed for job in searches} == {1}
    uniform = [job for job in searches if job.spec.method == "uniform"]
    assert {job.spec.granularity for job in uniform} == {"channel", "weight"}
    following = []
    for job in uniform:
        assert following == []
        publish(job, done, plan)
        following = flow.after(job, True)
    assert {job.kind for job in following} == {"transfer"}
    expected = {job.key for job in done.transfer_jobs("uniform") if job.spec.seed == 1}
    assert {job.key for job in following} == expected


def test_retrainings_wait_for_their_learning_rates(tuned: tuple[Params, Digests], tmp_path: Path) -> None:
    params, digests = tuned
    done, plan = finished(params, tmp_path / "done", digests), fabricated.plan_for(params, tmp_path, digests=digests)
    flow = Flow([(plan, plan.methods)])
    waiting = flow.first()
    tunings = [job for job in waiting if job.kind == "tune"]
    waiting = [job for job in waiting if job.kind != "tune"]
    while waiting:
        job = waiting.pop()
        publish(job, done, plan)
        waiting += flow.after(job, True)
        assert job.kind != "transfer"
    came: set[str] = set()
    for tuning in tunings:
        publish(tuning, done, plan)
        following = {job.key for job in flow.after(tuning, True)}
        assert following and not following & came
        came |= following
    assert came == {job.key for method in plan.methods for job in done.transfer_jobs(method)}


def test_with_tuning_all_jobs_come_once_whatever_the_order(tuned: tuple[Params, Digests], tmp_path: Path) -> None:
    params, digests = tuned
    done = finished(params, tmp_path / "done", digests)
    for seed in range(3):
        plan = fabricated.plan_for(params, tmp_path / str(seed), digests=digests)
        came = [job.key for job in drained(plan, done, seed=seed)]
        assert len(came) == len(set(came)) and set(came) == keys(done)


def test_what_is_finished_does_not_come(params: Params, tmp_path: Path) -> None:
    done = finished(params, tmp_path, fabricated.DIGESTS)
    assert Flow([(done, done.methods)]).first() == []
    lost = done.transfer_jobs("magnitude")[0]
    folder = done.store.folder(lost.key)
    folder.rename(tmp_path / "away")
    assert [job.key for job in Flow([(done, done.methods)]).first()] == [lost.key]


def test_what_needs_a_failed_job_does_not_come_and_the_rest_does(params: Params, tmp_path: Path) -> None:
    done = finished(params, tmp_path / "done", fabricated.DIGESTS)
    plan = fabricated.plan_for(params, tmp_path / "new")
    failing = {"tiny pretrain s0", "tiny search uniform channel s1"}
    came = drained(plan, done, frozenset(failing))
    assert len(plan.pretrain_jobs()) == 2
    assert not [job.label for job in came if job.kind != "pretrain" and job.spec.seed == 0]
    uniform = [job for job in came if job.kind == "transfer" and " uniform " in job.label]
    assert {job.spec.granularity for job in uniform} == {"weight"}
    # As the step-by-step run does: those of the searches that are there.
    assert {job.key for job in came if job.kind == "transfer"} == {
        job.key for method in plan.methods for job in plan.transfer_jobs(method, finished_only=True)
    }
