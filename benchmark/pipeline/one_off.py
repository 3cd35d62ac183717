"""One search or one transfer out of a suite's grid, or beside it at another budget or seed."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.config.params import GridSection, MethodConfig, Params, SuiteMethod, parse
from benchmark.errors import BenchError, unknown
from benchmark.jobs.store import Context, JobOutput, Store
from benchmark.pipeline.plan import Digests, Plan, device_of
from benchmark.pipeline.stages import Places, plan_of, prepare_data, run_suite

NO_TIME = {"started": 0.0, "seconds": 0.0, "peak_mb": 0.0}


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
    if method not in params.methods:
        raise unknown("method", method, params.methods, "--method")
    config, section = params.suites[suite], params.methods[method]
    if variant and variant not in section.variants:
        raise unknown("variant", variant, section.variants, "--variant")
    merged = {**section.params, **(section.variants[variant].params if variant else {})}
    grid = {**config.grid.model_dump(), "granularities": [granularity], "seeds": [seed]}
    if budgets is not None:
        grid["budgets"] = list(budgets)
    narrow = config.model_copy(
        update={
            "grid": parse(GridSection, grid, "command line"),
            "transfer": config.transfer.model_copy(update={"controls": [], **transfer}),
            "methods": {method: SuiteMethod(params=config.methods[method].params if method in config.methods else {})},
        }
    )
    return params.model_copy(
        update={
            "run": params.run.model_copy(update={"suites": [suite], "methods": [method]}),
            "suites": {suite: narrow},
            "methods": {method: MethodConfig(params=merged)},
        }
    )


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
    (its traceback is told on stderr). Raises `BenchError` when the method does not serve the granularity.
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
    if run_suite(narrow, [suite], [method], root=root, until="search"):
        return None
    found = plan.store.verify(searches[0].job.key)
    entries = {entry["budget"]: entry for entry in found.values["architectures"]}
    entry = entries[wanted] if wanted in entries else next(iter(entries.values()))
    return found.files[entry["file"]], found.files[entry["state_file"]]


def transfer(
    params: Params,
    suite: str,
    path: Path,
    weights: str,
    seed: int | None = None,
    state: Path | None = None,
    root: Path = Path(),
    progress: Callable[[str, float], None] = lambda _message, _share: None,
) -> Mapping[str, Any]:
    """Retrain an architecture file on a suite's targets; returns the values of a transfer job.

    These are `source_accuracy` (None for `scratch`), `params`, `macs` and `results`, a list of target, shots, draw,
    accuracy and train_flops. `seed` defaults to the architecture's own; `state` are the weights to inherit, by default
    the file beside the architecture. A job that the store has is not computed again. Raises `BenchError` when the
    architecture was made for another model than the suite's.
    """
    from benchmark.jobs.device import set_up
    from benchmark.protocol import transfer as protocol
    from benchmark.space import Architecture

    architecture = Architecture.load(path)
    chosen = architecture.meta.get("seed", 0) if seed is None else seed
    narrow = narrowed(params, suite, _any_method(params), architecture.granularity, chosen, weights=[weights])
    files = {"architecture.safetensors": path.read_bytes()}
    if weights == "inherit":
        beside = state or path.with_suffix(".weights.safetensors")
        if not beside.is_file():
            raise BenchError(f"{beside}: no such file; `inherit` needs the pruner's weights, name them with --state")
        files["weights.safetensors"] = beside.read_bytes()
    digests = Digests.of(prepare_data(params, suite, root))
    _check_model(narrow, suite, architecture, path, Plan(narrow, suite, digests, Places(root).store), root)
    with tempfile.TemporaryDirectory() as folder:
        # A store in which a search has found just this architecture.
        store = Store(Path(folder))
        plan = Plan(narrow, suite, digests, store, device_of(params))
        search = plan.searches(narrow.run.methods[0])[0].job
        entry = {
            "budget": architecture.meta.get("budget", 1.0),
            "kept": architecture.kept,
            "sizes": architecture.sizes,
            "digest": architecture.digest,
            "file": "architecture.safetensors",
            "state_file": "weights.safetensors" if weights == "inherit" else None,
        }
        store.put(search, JobOutput({"architectures": [entry]}, files), NO_TIME)
        known = Places(root).store
        for tuning in plan.tunings():
            if known.has(tuning.job.key):
                store.put(tuning.job, JobOutput(known.get(tuning.job.key).values), NO_TIME)
        try:
            job = next(plan.transfers(narrow.run.methods[0])).job
        except KeyError as error:
            raise BenchError(
                f"suite {suite}: the learning rates of this budget are not chosen yet; `dapbench stage tune --suite "
                f"{suite}` does it, at the suite's own budgets"
            ) from error
        if known.has(job.key):
            return known.get(job.key).values
        # As in a worker, so that the result is that of the grid.
        set_up(plan.device, params.compute.threads, params.compute.deterministic)
        return protocol.compute(job, Context(store, Places(root).data, plan.device, progress)).values


def _any_method(params: Params) -> str:
    """A transfer does not ask who found its architecture; a place in the grid needs some method's name."""
    return "dense" if "dense" in params.methods else next(iter(params.methods))


def _check_model(params: Params, suite: str, architecture: Any, path: Path, plan: Plan, root: Path) -> None:
    from benchmark.protocol.source import open_source
    from benchmark.space import build_space

    job = plan.pretrain_jobs()[0]
    source = open_source(job, Context(plan.store, Places(root).data, "cpu"))
    network = source.large_model().cpu()
    space = build_space(network, source.example(), architecture.granularity, params.suites[suite].grid.cost)
    try:
        space.mask(architecture)
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from error
