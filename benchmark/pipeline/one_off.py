"""One search or one transfer out of a suite's grid, or beside it at another budget or seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.config.params import GridSection, MethodConfig, Params, SuiteMethod, WeightsMode, parse
from benchmark.errors import BenchError, unknown
from benchmark.files import file_sha256
from benchmark.jobs.job import Job
from benchmark.jobs.results import Found, Searched, Transferred
from benchmark.jobs.specs import TransferSpec
from benchmark.jobs.store import Context
from benchmark.pipeline.mending import mended
from benchmark.pipeline.plan import Plan
from benchmark.pipeline.stages import Places, plan_of, prepare_data, report_failures, run_step, run_suite
from benchmark.pruning.registry import pruner


def narrowed(
    params: Params,
    suite: str,
    method: str,
    granularity: str,
    seed: int,
    variant: str = "",
    budgets: Sequence[float] | None = None,
    **transfer: Any,
) -> Params:
    """Return `params` with one suite whose grid is one method, variant, granularity and seed, without controls.

    `budgets` replace the suite's, `transfer` entries of its transfer section. Raises `BenchError` naming the option
    that does not exist.
    """
    if suite not in params.suites:
        raise unknown("suite", suite, params.suites, "--suite")
    pruner(method, "--method")
    config, section = params.suites[suite], params.method(method)
    if variant and variant not in section.variants:
        raise unknown("variant", variant, section.variants, "--variant")
    merged = {**section.params, **(section.variants[variant].params if variant else {})}
    grid = {**config.grid.model_dump(), "granularities": [granularity], "seeds": [seed]}
    if budgets is not None:
        grid["budgets"] = list(budgets)
    narrow = config.model_copy(
        update={
            "grid": parse(GridSection, grid, "command line"),
            "transfer": config.transfer.model_copy(
                update={"controls": [], "distil": params.distil_of(suite, method, variant), **transfer}
            ),
            "methods": {method: SuiteMethod(params=config.method(method).params)},
            "exclude": [],
        }
    )
    return params.model_copy(
        update={
            "run": params.run.model_copy(update={"suites": [suite], "methods": [method]}),
            "suites": {suite: narrow},
            "methods": {method: MethodConfig(params=merged)},
        }
    )


def with_grid(
    params: Params,
    suites: Sequence[str],
    methods: Sequence[str] | None,
    seeds: Sequence[int] | None,
    budgets: Sequence[float] | None,
    granularities: Sequence[str] | None,
) -> Params:
    """Return `params` whose `suites` run `methods` (None: their own), also ones that params.yaml does not name.

    `seeds`, `budgets` and `granularities` replace those of the suites' grids. Raises `BenchError` for a method that is
    not installed and for a value that cannot be in a grid.
    """
    for name in methods or ():
        pruner(name, "--method")
    asked = {"seeds": seeds, "budgets": budgets, "granularities": granularities}
    changed = {}
    for name in suites:
        suite = params.suites[name]
        grid = suite.grid.model_dump() | {key: list(value) for key, value in asked.items() if value is not None}
        changed[name] = suite.model_copy(update={"grid": parse(GridSection, grid, "command line"), "exclude": []})
    run = params.run.model_copy(update={"methods": list(methods)}) if methods else params.run
    return params.model_copy(update={"run": run, "suites": params.suites | changed})


def run_search(
    params: Params,
    suite: str,
    method: str,
    granularity: str,
    seed: int,
    budget: float | None = None,
    variant: str = "",
    root: Path = Path(),
) -> tuple[Path, Path] | None:
    """Search as in the suite's grid; returns the architecture file and its weights in the job store.

    At the suite's budgets this is the grid's own search, which is not computed again when the store has it. `budget`
    defaults to the suite's smallest; a method that has only one, like `dense`, gives that. None when the search failed
    (its traceback is on stderr). Raises `BenchError` when the method does not serve the granularity.
    """
    if suite not in params.suites:
        raise unknown("suite", suite, params.suites, "--suite")
    known = params.suites[suite].grid.budgets
    wanted = min(known) if budget is None else budget
    budgets = known if wanted in known else [wanted]
    narrow = narrowed(params, suite, method, granularity, seed, variant, budgets)
    plan = plan_of(narrow, suite, root, prepare_data(params, suite, root))
    searches = plan.searches(method)
    if not searches:
        served = ", ".join(plan.method(method).granularities)
        raise BenchError(f"--granularity: {method} does not search {granularity} units; use {served}")

    def found() -> tuple[Path, Path] | None:
        if run_suite(narrow, [suite], [method], root=root, until="search"):
            return None
        result = plan.store.get(searches[0].job.key)
        entries = {entry.budget: entry for entry in result.read(Searched).architectures}
        entry = entries[wanted] if wanted in entries else next(iter(entries.values()))
        return result.files[entry.file], result.files[entry.state_file]

    return mended(plan.store, found)


def transfer(
    params: Params,
    suite: str,
    path: Path,
    weights: WeightsMode,
    seed: int | None = None,
    state: Path | None = None,
    root: Path = Path(),
) -> Transferred | None:
    """Retrain an architecture file on a suite's targets; returns what the retraining of a grid's architecture returns.

    `seed` defaults to the architecture's own; `state` are the weights to inherit, by default the file beside the
    architecture. What the store has is not computed again. None when the retraining failed (its traceback is on
    stderr). Raises `BenchError` when the architecture was made for another model than the suite's.
    """
    from benchmark.space.foreign import read_architecture

    architecture = read_architecture(path)
    chosen = architecture.meta.get("seed", 0) if seed is None else seed
    granularity: Any = architecture.granularity
    narrow = narrowed(params, suite, _any_method(params), granularity, chosen, weights=[weights])
    inputs, digest, beside = {"architecture": str(path.resolve())}, None, None
    if weights == "inherit":
        beside = state or path.with_suffix(".weights.safetensors")
        if not beside.is_file():
            raise BenchError(f"{beside}: no such file; `inherit` needs the pruner's weights, name them with --state")
        inputs["state"], digest = str(beside.resolve()), file_sha256(beside)
    plan = plan_of(narrow, suite, root, prepare_data(params, suite, root))
    _check_model(narrow, suite, architecture, path, plan, root, beside)
    found = Found(
        budget=architecture.meta.get("budget", 1.0),
        complexity=architecture.meta.get("complexity", 1.0),
        params=architecture.meta.get("params", 0),
        macs=architecture.meta.get("macs", 0),
        kept=architecture.kept,
        sizes=architecture.sizes,
        digest=architecture.digest,
        file=path.name,
        state_file="",
        state_pretrain_flops=0,
    )
    try:
        rates = plan.rates(granularity, plan.config.grid.costs[0], found.budget)
    except KeyError as error:
        raise BenchError(
            f"suite {suite}: the learning rates of this budget are not chosen yet; `dapbench stage tune --suite "
            f"{suite}` does it, at the suite's own budgets"
        ) from error
    label, distil = f"{suite} transfer {path.name}", plan.config.transfer.distil
    job = plan.transfer_job(granularity, chosen, found, weights, rates, inputs, label, digest, distil=distil)
    return mended(plan.store, lambda: _retrained(plan, job, root))


def _retrained(plan: Plan, job: Job[TransferSpec], root: Path) -> Transferred | None:
    """What a retraining returns, after its teacher's pretraining if it has one; None when one of them failed."""
    teachers = plan.pretrain_jobs() if job.spec.teacher is not None else []
    failures = run_step("pretrain", teachers, [(plan, [])], root, 1)
    if report_failures(failures or run_step("transfer", [job], [(plan, [])], root, 1)):
        return None
    return plan.store.get(job.key).read(Transferred)


def _any_method(params: Params) -> str:
    """A transfer does not ask who found its architecture; a place in the grid needs some method's name."""
    return params.run.methods[0]


def _check_model(
    params: Params, suite: str, architecture: Any, path: Path, plan: Plan, root: Path, state: Path | None
) -> None:
    """Refuse an architecture of another model, and a file `state` that does not hold weights of it."""
    from benchmark.protocol.source import open_source
    from benchmark.space import build_space
    from benchmark.space.weights_file import unpack_state

    spec = plan.pretrain_jobs()[0].spec.model_copy(update={"device": "cpu"})
    source = open_source(spec, Context(plan.store, Places(root).data))
    network = source.large_model()
    space = build_space(network, source.example(), architecture.granularity, params.suites[suite].grid.costs[0])
    try:
        mask = space.mask(architecture)
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from error
    if state is not None:
        unpack_state(space, mask, state.read_bytes(), str(state))
