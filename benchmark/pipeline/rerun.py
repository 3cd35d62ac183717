"""A sample of somebody's rows, computed again from their architectures through the ordinary jobs."""

import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.analysis.contributed import joined
from benchmark.analysis.rows import Row
from benchmark.analysis.submission import PLACE, Submission, SubmittedArchitecture, refused
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.jobs.job import Job
from benchmark.jobs.results import Found, Measured, Transferred
from benchmark.jobs.specs import TransferSpec
from benchmark.pipeline.mending import mended
from benchmark.pipeline.plan import Plan
from benchmark.pipeline.stages import plan_of, prepare_data, report_failures, run_step
from benchmark.pipeline.unpacking import unpack

# What rounding on another processor moves the accuracy of one retraining by, as a standard deviation.
ROUNDING = 0.06
ASK = "ask who made it how the rows came about"


@dataclass(frozen=True)
class Retraining:
    """One job of the sample, and the rows that are said to be its results."""

    job: Job[TransferSpec]
    rows: list[Row]


@dataclass(frozen=True)
class Compared:
    """What a rerun found: how many rows equal the computed ones bit for bit, and the mean of claimed minus computed."""

    retrainings: int
    rows: int
    equal: int
    difference: float


def rerun(
    params: Params,
    path: Path,
    found: Submission,
    count: int,
    seed: int,
    root: Path = Path(),
    workers: int | None = None,
    exact: bool = False,
) -> Compared | None:
    """Compute the retrainings behind `count` rows again, drawn by `seed`, and compare all rows that they give.

    Rows with inherited weights are not drawn: the weights are not in the file. Episodes and operations must be the
    same, and so must accuracies with `exact`, which asks for one kind of processor. Without it the claimed ones may
    exceed the computed ones by two standard errors of what rounding does, in the mean. `BenchError` names the file, the
    row and the difference; None when a job failed.
    """
    prepare_data(params, found.suite, root)
    plan = plan_of(params, found.suite, root)
    known = [row for row in found.results.rows if row.weights != "inherit"]
    if not known:
        raise BenchError(
            f"{path}: results.rows: all have inherited weights, which are not in the file; nothing to rerun"
        )
    drawn = random.Random(seed).sample(known, min(count, len(known)))

    def computed() -> Compared | None:
        with tempfile.TemporaryDirectory() as folder:
            files = unpack(params, path, found, root, Path(folder))
            if not _rates_known(plan, drawn, root, workers):
                return None
            work = _retrainings(plan, found, drawn, files)
            if not _teachers_known(plan, work, root, workers):
                return None
            if report_failures(run_step("transfer", [one.job for one in work], [(plan, [])], root, workers)):
                return None
        return _compared(plan, path, found, work, exact)

    return mended(plan.store, computed)


def _rates_known(plan: Plan, drawn: Sequence[Row], root: Path, workers: int | None) -> bool:
    """Choose the learning rates of the rows' budgets where they are not in the store; False when that failed."""
    places = {(row.granularity, row.cost, row.budget) for row in drawn}
    jobs = [one.job for one in plan.tunings() if (one.granularity, one.cost, one.budget) in places]
    return not report_failures(run_step("tune", jobs, [(plan, [])], root, workers))


def _teachers_known(plan: Plan, work: Sequence[Retraining], root: Path, workers: int | None) -> bool:
    """Pretrain the teachers of the retrainings that have one, where the store lacks them; False when that failed."""
    wanted = {one.job.spec.teacher for one in work}
    jobs = [job for job in plan.pretrain_jobs() if job.key in wanted]
    return not jobs or not report_failures(run_step("pretrain", jobs, [(plan, [])], root, workers))


def _retrainings(plan: Plan, found: Submission, drawn: Sequence[Row], files: dict[str, Path]) -> list[Retraining]:
    searched = {_values(entry, PLACE): entry for entry in found.search.architectures}
    described = joined(plan.params, found)
    rows: dict[tuple[object, ...], list[Row]] = {}
    for row in found.results.rows:
        rows.setdefault(_values(row, (*PLACE, "weights", "retraining")), []).append(row)
    work = {}
    for row in drawn:
        place = _values(row, (*PLACE, "weights", "retraining"))
        entry = searched[_values(row, PLACE)]
        job = plan.transfer_job(
            row.granularity,
            row.seed,
            _as_found(entry),
            row.weights,
            plan.rates(row.granularity, row.cost, row.budget),
            {"architecture": str(files[entry.digest])},
            f"{found.suite} rerun {found.method} {row.granularity} s{row.seed} b{row.budget:g} {row.weights}",
            retraining=row.retraining,
            distil=described.distil_of(found.suite, found.method, row.variant),
        )
        work[place] = Retraining(job, rows[place])
    return list(work.values())


def _as_found(entry: SubmittedArchitecture) -> Found:
    return Found(
        budget=entry.budget,
        complexity=entry.complexity,
        params=entry.params,
        macs=entry.macs,
        kept=entry.kept,
        sizes=entry.sizes,
        digest=entry.digest,
        file=Path(entry.file).name,
        state_file="",
        state_pretrain_flops=0,
    )


def _compared(plan: Plan, path: Path, found: Submission, work: Sequence[Retraining], exact: bool) -> Compared:
    place = {id(row): at for at, row in enumerate(found.results.rows)}
    differences: list[float] = []
    for one in work:
        values = plan.store.get(one.job.key).read(Transferred)
        results = {_values(result, ("target", "measure", "shots", "draw")): result for result in values.results}
        for row in one.rows:
            key = f"results.rows.{place[id(row)]}"
            result = results[_values(row, ("target", "measure", "shots", "draw"))]
            _check_counts(path, key, row, result)
            differences.append(row.accuracy - result.accuracy)
            if exact and (row.accuracy, row.source_accuracy) != (result.accuracy, values.source_accuracy):
                said = f"{row.accuracy}, computed again {result.accuracy}"
                raise refused(path, f"{key}.accuracy", said, ASK)
    mean = math.fsum(differences) / len(differences)
    if mean > (most := 2 * ROUNDING / math.sqrt(len(work))):
        said = f"{100 * mean:.1f} points above what the architectures give (up to {100 * most:.1f} may be rounding)"
        raise refused(path, "results.rows", said, ASK)
    return Compared(len(work), len(differences), sum(d == 0 for d in differences), mean)


def _check_counts(path: Path, key: str, row: Row, result: Measured) -> None:
    for name in ("train_flops", "episodes"):
        if getattr(row, name) != getattr(result, name):
            raise refused(path, f"{key}.{name}", f"{getattr(row, name)}, computed again {getattr(result, name)}", ASK)


def _values(record: object, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in names)
