"""The steps of the pipeline: fill the job store, and write what the store holds to the files between stages.

`run_suite` computes a whole grid and writes nothing but the store; `stage` is one stage of dvc.yaml. Both go through
the same jobs, so after the former the latter only assembles files.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.config.params import Params
from benchmark.errors import BenchError, unknown
from benchmark.files import atomic_write, read_json, write_json
from benchmark.jobs.account import Account
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.local import Failure, available_workers, run_jobs
from benchmark.jobs.store import Context, Store
from benchmark.pipeline.mending import mended, raise_damage
from benchmark.pipeline.plan import Digests, Plan, device_of
from benchmark.pipeline.plan_cache import remembered

Step = Literal["pretrain", "search", "floors", "tune", "transfer"]
SCHEMA = 1
# The sections of a suite that jobs of a kind depend on.
_TASK = ("data", "model", "training")
_READ = {
    "pretrain": _TASK,
    "floors": (*_TASK, "transfer"),
    "tune": (*_TASK, "grid", "tuning", "transfer"),
    "search": (*_TASK, "grid"),
    "transfer": (*_TASK, "grid", "transfer"),
}


@dataclass(frozen=True)
class Places:
    """Where things are below the repository's root."""

    root: Path

    @property
    def store(self) -> Store:
        """The store of finished jobs."""
        return Store(self.root / ".jobs")

    @property
    def data(self) -> Path:
        """The prepared data sets."""
        return self.root / "data"

    def results(self, suite: str, name: str) -> Path:
        """A file of results, committed to git."""
        return self.root / "reports" / "results" / suite / name

    def code(self, suite: str) -> Path:
        """The folder of a suite's code fingerprints."""
        return self.root / "reports" / "code" / suite

    def artifacts(self, suite: str, *parts: str) -> Path:
        """A folder of files too large for git."""
        return self.root.joinpath("artifacts", suite, *parts)


def run_suite(
    params: Params,
    suites: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    workers: int | None = None,
    root: Path = Path(),
    until: Step = "transfer",
    cluster: str | None = None,
    depot: str | None = None,
) -> int:
    """Compute every job of the grid that the store lacks; returns the exit code, 1 when a job failed.

    `suites` and `methods` default to those of params.yaml's `run`, `workers` to `compute.workers`. Each step runs over
    all suites and methods at once, so that the workers stay busy. Failed jobs are told at the end, with
    their tracebacks; what does not depend on them is computed all the same. With `cluster`, the address of one, the
    whole grid is computed there; jobs and data travel through the address `depot`, if there is one.
    """
    chosen = list(suites or params.run.suites)
    plans = [plan_of(params, suite, root, prepare_data(params, suite, root)) for suite in chosen]
    for method in methods or ():
        if not any(method in plan.methods for plan in plans):
            raise unknown("method", method, {name for plan in plans for name in plan.methods}, "--method")
    work = [(plan, [name for name in plan.methods if name in (methods or plan.methods)]) for plan in plans]
    if cluster is None:
        return report_failures(fill(work, root, workers, until))
    return report_failures(_fill_on(cluster, work, root, depot))


def stage(
    params: Params,
    name: str,
    suite: str | None = None,
    method: str | None = None,
    workers: int | None = None,
    root: Path = Path(),
    plan: Plan | None = None,
) -> int:
    """Run one stage of dvc.yaml; returns the exit code, 1 when a job failed and nothing was written.

    `page` takes neither suite nor method, `search` and `transfer` take both, the others a suite. `plan`, of the stages
    of a method: that of the suite, where it is made already.
    """
    if name == "page":
        _page(params, root)
        return 0
    if name not in (*_PER_SUITE, *_PER_METHOD):
        raise unknown("stage", name, [*_PER_SUITE, *_PER_METHOD, "page"], "stage")
    if suite is None or suite not in params.suites:
        raise unknown("suite", suite or "", params.suites, "--suite")
    if name not in _PER_METHOD:
        per_suite, chosen = _PER_SUITE[name], suite
        return mended(Places(root).store, lambda: per_suite(params, chosen, workers, root))
    # DVC asks for the stages of every method in every suite: those of one that the suite leaves out have no jobs.
    if method is None or method not in params.run.methods:
        raise unknown("method", method or "", params.run.methods, "--method")
    whole, write, one = plan or plan_of(params, suite, root), _PER_METHOD[name], method

    def computed() -> int:
        failures = fill([(whole, [one])], root, workers, "search" if name == "search" else "transfer")
        if not failures:
            write(whole, one, Places(root))
        return report_failures(failures)

    return mended(whole.store, computed)


def plan_of(params: Params, suite: str, root: Path = Path(), manifests: dict[str, Any] | None = None) -> Plan:
    """Return the plan of a suite; without `manifests`, those of the stage `data` are read."""
    places = Places(root)
    if manifests is None:
        path = places.results(suite, "data.json")
        manifests = read_json(path)
        if not isinstance(manifests, dict) or manifests.get("schema") != SCHEMA:
            raise BenchError(f"{path}: expected schema {SCHEMA} of the stage data; remove it and run `dvc repro`")
        try:
            Digests.of(manifests)
        except ValueError as error:
            raise BenchError(f"{path}: {error}; remove it and run `dvc repro`") from error
    return Plan(params, suite, Digests.of(manifests), places.store, device_of(params))


def prepare_data(params: Params, suite: str, root: Path = Path()) -> dict[str, Any]:
    """Prepare the data sets of a suite where they are not yet; returns `{"source", "targets"}`, their manifests."""
    from benchmark.data import prepare
    from benchmark.jobs.progress import Progress

    data, folder, mirrors = params.suites[suite].data, Places(root).data, params.data.mirrors
    with Progress(every=5.0, quiet=5.0) as progress:
        source = prepare(data.source, folder, mirrors, progress)
        targets = {target.label: prepare(target, folder, mirrors, progress) for target in data.targets}
    return {"source": source, "targets": targets}


Work = list[tuple[Plan, list[str]]]


def fill(work: Work, root: Path, workers: int | None, until: Step) -> list[Failure]:
    """Compute the missing jobs of the plans' methods up to the step `until`, step by step over all of them.

    A finished job that turns out to be damaged is set aside, and computed again with what needs it.
    """
    return mended(work[0][0].store, lambda: _fill(work, root, workers, until))


def _fill(work: Work, root: Path, workers: int | None, until: Step) -> list[Failure]:
    failures: list[Failure] = []
    steps: dict[Step, Callable[[], Sequence[Job[Spec]]]] = {
        "pretrain": lambda: [job for plan, _ in work for job in plan.pretrain_jobs()],
        "search": lambda: [
            job
            for plan, methods in work
            for name in methods
            for job in plan.search_jobs(name)
            if plan.store.has(job.spec.pretrain)
        ],
        "floors": lambda: [job for plan, _ in work for job in plan.floor_jobs()],
        "tune": lambda: [job for plan, _ in work for job in plan.tune_jobs()],
        "transfer": lambda: [
            job for plan, methods in work for name in methods for job in plan.transfer_jobs(name, finished_only=True)
        ],
    }
    for step, jobs in steps.items():
        failures += run_step(step, jobs(), work, root, workers)
        if step == until:
            break
    raise_damage(failures)
    return failures


def run_step(step: Step, jobs: Sequence[Job[Spec]], work: Work, root: Path, workers: int | None) -> list[Failure]:
    """Compute those of the jobs that the store lacks; returns the failures."""
    plan = work[0][0]
    if all(plan.store.has(job.key) for job in jobs):
        return []
    for each, _ in work:
        prepare_data(each.params, each.suite, root)
        if step == "pretrain" and each.config.model.pretrained and each.config.model.file is None:
            from benchmark.models.cached import check_cached

            check_cached(each.config.model.name)
    compute = plan.params.compute
    count = workers or (
        available_workers(compute.threads, plan.device, compute.slots) if compute.workers == "auto" else compute.workers
    )
    context = Context(plan.store, Places(root).data, plan.device)
    with Account(step, jobs) as account:
        return run_jobs(jobs, context, count, compute.threads, account, compute.deterministic)


def _fill_on(address: str, work: Work, root: Path, depot: str | None) -> list[Failure]:
    """Compute the missing jobs of the plans' methods on a cluster, which is not asked for when there are none."""
    from benchmark.pipeline.flow import Flow

    plan, shared = work[0][0], None
    if depot is not None:
        from benchmark.jobs.depot import Depot

        shared = Depot(depot)
        for key in sorted(shared.keys()):
            shared.fetch(plan.store, key)
    flow = Flow(work)
    if not (first := flow.first()):
        return []
    try:
        from benchmark.jobs.cluster import run_on_cluster
        from benchmark.jobs.connect import connect
    except ModuleNotFoundError as error:
        raise BenchError(
            f"--cluster: {error.name} is not installed; install the extra `cluster`: pip install 'dapbench[cluster]'"
        ) from error
    compute, context = plan.params.compute, Context(plan.store, Places(root).data, plan.device)
    with connect(address, plan.device) as client:
        print(f"cluster: {client.scheduler.address}, dashboard: {client.dashboard_link}", file=sys.stderr)
        with Account("run", first) as account:
            options = (compute.threads, account, compute.deterministic, shared)
            return run_on_cluster(client, first, flow.after, context, *options)


def report_failures(failures: list[Failure]) -> int:
    """Print failed jobs and their tracebacks; returns the exit code."""
    for failure in failures:
        print(f"\nfailed: {failure.job.label}\n{failure.reason.rstrip()}", file=sys.stderr)
    if failures:
        left = "the others are kept, and the same command computes only what is missing"
        print(f"\n{len(failures)} jobs failed; {left}", file=sys.stderr)
    return 1 if failures else 0


def _code(params: Params, suite: str, _jobs: int | None, root: Path) -> int:
    folder = Places(root).code(suite)
    # The fingerprints do not depend on the data.
    plan = Plan(params, suite, Digests("", {}), Places(root).store)
    written = []
    for name, digest in plan.code().items():
        kind, _, method = name.partition("-")
        write_json(folder / f"{name}.json", {"code": digest, "settings": _settings(params, suite, kind, method)})
        written.append(folder / f"{name}.json")
    _remove_others(folder, written)
    return 0


def _settings(params: Params, suite: str, kind: str, method: str) -> dict[str, Any]:
    """Return what params.yaml says that jobs of a kind depend on, without what it leaves at the default.

    DVC has no parameter that may be absent, and a method needs no entry in params.yaml.
    """
    compute, config = params.compute.model_dump(include={"device", "threads"}), params.suites[suite]
    found = {"compute": compute, **config.model_dump(mode="json", include={*_READ[kind]}, exclude_unset=True)}
    if kind in ("pretrain", "floors"):
        found["grid"] = {"seeds": config.grid.seeds}
    if kind == "search":
        found["method"] = params.method(method).model_dump(mode="json", exclude_unset=True)
        found["here"] = config.method(method).model_dump(mode="json", exclude_unset=True)
    return found


def _data(params: Params, suite: str, _jobs: int | None, root: Path) -> int:
    manifests, config, folder = prepare_data(params, suite, root), params.suites[suite], Places(root).data

    def look() -> dict[str, Any]:
        from benchmark.pipeline import data_file

        return {"module": data_file.__name__, "content": data_file.content(manifests, config, folder)}

    asked = {"manifests": manifests, "suite": config.model_dump(mode="json", include={"data", "grid", "transfer"})}
    # To look for near duplicates takes torch, whose import would take longer than all else that a rerun does.
    content = remembered(Places(root).store, {"data file": asked}, look)["content"]
    write_json(Places(root).results(suite, "data.json"), {"schema": SCHEMA, **content})
    return 0


def _pretrain(params: Params, suite: str, workers: int | None, root: Path) -> int:
    plan = plan_of(params, suite, root)
    failures = fill([(plan, [])], root, workers, "pretrain")
    if not failures:
        folder = Places(root).artifacts(suite, "pretrain")
        files = {
            folder / f"s{job.spec.seed}.safetensors": plan.store.verify(job.key).files["final.safetensors"]
            for job in plan.pretrain_jobs()
            if job.spec.sanity is None
        }
        _publish(folder, files)
    return report_failures(failures)


def _tune(params: Params, suite: str, workers: int | None, root: Path) -> int:
    from benchmark.pipeline.collect import tuning_of

    plan = plan_of(params, suite, root)
    failures = fill([(plan, [])], root, workers, "tune")
    if not failures:
        write_json(Places(root).results(suite, "tuning.json"), tuning_of(plan))
    return report_failures(failures)


def _floors(params: Params, suite: str, jobs: int | None, root: Path) -> int:
    from benchmark.pipeline.collect import floors_of

    plan = plan_of(params, suite, root)
    failures = run_step("floors", list(plan.floor_jobs()), [(plan, [])], root, jobs)
    if not failures:
        write_json(Places(root).results(suite, "floors.json"), floors_of(plan))
    return report_failures(failures)


def _search(plan: Plan, method: str, places: Places) -> None:
    from benchmark.pipeline.collect import published_files, searches_of

    files = {places.root / target: source for source, target in published_files(plan, method)}
    _publish(places.artifacts(plan.suite, "search", method), files)
    write_json(places.results(plan.suite, f"{method}.search.json"), searches_of(plan, method))


def _transfer(plan: Plan, method: str, places: Places) -> None:
    from benchmark.analysis.rows import write_results
    from benchmark.pipeline.collect import rows_of, timings_of
    from benchmark.provenance import provenance

    data = {"source": plan.digests.source, "targets": dict(plan.digests.targets)}
    rows = rows_of(plan, method)
    write_json(places.results(plan.suite, f"{method}.timings.json"), timings_of(plan, method))
    write_results(places.results(plan.suite, f"{method}.json"), rows, {**provenance(plan.device), "data": data})


def _analyse(params: Params, suite: str, _jobs: int | None, root: Path) -> int:
    from benchmark.analysis import analyse_suite

    analyse_suite(params, suite, root)
    return 0


def _report(params: Params, suite: str, _jobs: int | None, root: Path) -> int:
    from benchmark.report import report_suite

    report_suite(params, suite, root)
    return 0


def _page(params: Params, root: Path) -> None:
    from benchmark.report import method_list, readme, report_page

    report_page(params, root)
    page = root / "README.md"
    for block in (readme, method_list):
        if page.exists() and block.BEGIN in page.read_text():
            block.update(page, params)


def _publish(folder: Path, files: dict[Path, Path]) -> None:
    # Of a method that serves none of the suite's granularities there are no files, but DVC wants the folder.
    folder.mkdir(parents=True, exist_ok=True)
    for target, source in files.items():
        content = source.read_bytes()
        if not target.exists() or target.read_bytes() != content:
            atomic_write(target, content)
    _remove_others(folder, files)


def _remove_others(folder: Path, wanted: Iterable[Path]) -> None:
    """Remove what an earlier grid left in a stage's own folder."""
    names = {path.name for path in wanted}
    for path in folder.iterdir() if folder.exists() else ():
        if path.name not in names:
            path.unlink()


_PER_SUITE = {
    "code": _code,
    "data": _data,
    "pretrain": _pretrain,
    "floors": _floors,
    "tune": _tune,
    "analyse": _analyse,
    "report": _report,
}
_PER_METHOD = {"search": _search, "transfer": _transfer}
