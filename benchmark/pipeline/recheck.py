"""Whether committed results stand after a change of code: a sample of their jobs is computed anew and compared.

A job's key holds the code it runs through, so that a changed computation never serves an old result. A change that
leaves results as they are (a new kind of model, a faster loop) would cost a published suite hours all the same. Here a
sample is recomputed instead, and only if every number of it is the same, bit for bit, the pipeline's lock is told.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark import seeds
from benchmark.analysis.result_files import Tuning, read_part
from benchmark.analysis.rows import IDENTITY, Row, read_results
from benchmark.analysis.searches import read_search
from benchmark.config.params import Params, load_params
from benchmark.errors import BenchError
from benchmark.files import canonical_json, read_json, sha256, write_json
from benchmark.jobs.results import Searched
from benchmark.pipeline.collect import FOUND, result_rows, tuning_of
from benchmark.pipeline.mending import mended, raise_damage
from benchmark.pipeline.plan import Digests, Plan, Search, Transfer
from benchmark.pipeline.stages import Places, plan_of, prepare_data, report_failures, run_step, stage
from benchmark.protocol.controls import DENSE
from benchmark.provenance import provenance

SCHEMA = 1
SHOWN = 10
BUDGETS = 2  # of the suite's, whose retrainings are checked
NAME = "recheck.json"
# Where a checkout answers `--against`: now, and before the code moved into rooms (there `jobs` were the workers).
ANSWERS = ("benchmark.pipeline.recheck", "benchmark.recheck")
SEARCHED = ("method", "variant", "granularity", "cost", "seed", "budget")
RESULT = (
    "complexity",
    "accuracy",
    "source_accuracy",
    "params",
    "macs",
    "search_flops",
    "train_flops",
    "pretrain_flops",
)
Numbers = dict[tuple[Any, ...], Any]


@dataclass(frozen=True)
class Sample:
    """What is computed: drawn by the hash `choice`, of some methods; or the choice of learning rates only."""

    suite: str
    choice: str
    methods: tuple[str, ...]
    rates_only: bool


def recheck(
    params: Params,
    suite: str,
    workers: int | None = None,
    root: Path = Path(),
    methods: Sequence[str] | None = None,
    against: Path | None = None,
) -> int:
    """Recompute a sample of a suite's jobs under the present code; returns the exit code, 1 when a number differs.

    The sample is drawn by the code's hash: one seed's pretraining, and of each method and variant its search at one
    granularity; and at two budgets the choice of learning rates, and of what was found one retraining for each method,
    variant, weights mode and control. If all of it equals the committed rows, reports/results/SUITE/recheck.json says
    so, and dvc.lock takes the present code for the one that made the results. With `methods` this is checked and told
    for those only. Where the recheck of another suite has compared the same two codes, only what that one may not have
    met is computed: the choice of rates.

    Another processor rounds differently, and then no row can be met bit for bit. With `against`, a checkout of the code
    that made the results, that code computes the sample too, on this machine, and its numbers take the rows' place.
    `BenchError` when there are no committed results, or they are of other data or of other code than `against` has.
    """
    console, places = Console(highlight=False), Places(root)
    digests = Digests.of(prepare_data(params, suite, root))
    if plan_of(params, suite, root).digests != digests:
        raise BenchError(f"{suite}: the committed results are of other data than is prepared here; restore the data")
    folder = places.code(suite)
    before = {path.stem: read_json(path)["code"] for path in sorted(folder.glob("*.json"))}
    now = plan_of(params, suite, root).code()
    if before == now:
        console.print(f"{suite}: the results are those of the present code; nothing to check.")
        return 0
    chosen = tuple(name for name in params.run.methods if name in (methods or params.run.methods))
    by = _compared_by(params, suite, root, before, now, chosen)
    sample = Sample(suite, sha256(canonical_json(now)), chosen, rates_only=by is not None)
    plan = _narrowed(params, sample, root)
    computed = mended(plan.store, lambda: _numbers(plan, sample, root, workers))
    if computed is None:
        return 1
    if against is None:
        known, whose = _plain(_committed(plan, places)), "committed"
    else:
        known, whose = _of_other_code(against, sample, workers, before), f"by {against}"
    if not _agree(console, suite, computed, known, whose):
        return 1
    changed = {name: [before.get(name), digest] for name, digest in now.items() if before.get(name) != digest}
    compared = "with the committed results" if against is None else "with the code before, on one machine"
    _record(plan, places, {"results": len(computed), "compared": compared, "code": changed}, by)
    stage(params, "code", suite, root=root)
    _tell_lock(suite, root, [name for name in params.run.methods if name not in chosen])
    equal = "the committed ones" if against is None else "those of the code before"
    also = f" The rest of this code was compared on {by}." if by is not None else ""
    console.print(f"{suite}: {len(computed)} recomputed results are {equal}, bit for bit; all stand.{also}")
    return 0


def _agree(console: Console, suite: str, computed: Numbers, known: Numbers, whose: str) -> bool:
    """Return whether all numbers are those that are known; name the first that are not."""
    wrong = [place for place, value in computed.items() if place not in known or known[place] != value]
    for place in wrong[:SHOWN]:
        name = " ".join(str(part) for part in place if part != "")
        console.print(f"{name}: {known.get(place)} {whose}, {computed[place]} now", soft_wrap=True)
    if wrong:
        remedy = f"`dapbench reproduce --suite {suite}` recomputes the suite"
        console.print(f"{suite}: {len(wrong)} of {len(computed)} results differ; {remedy}", soft_wrap=True)
    return not wrong


def _compared_by(
    params: Params, suite: str, root: Path, before: dict[str, str], now: dict[str, str], methods: Sequence[str]
) -> str | None:
    """Another suite whose recheck has compared the same two codes in all but the choice of learning rates, or None.

    It must have searched with every method at every granularity that this suite has (not those that it leaves out):
    what a fingerprint covers is not all run through elsewhere.
    """

    def searched(name: str) -> set[tuple[str, str]]:
        plan = plan_of(params, name, root)
        return {(search.name, search.granularity) for method in methods for search in plan.searches(method)}

    own = searched(suite)
    running = {method for method, _ in own}
    changed = {
        name: [before[name], now[name]]
        for name in ("pretrain", "transfer", *(f"search-{method}" for method in running))
        if name in before and before[name] != now.get(name)
    }
    for other in params.run.suites:
        path = Places(root).results(other, NAME)
        for check in read_json(path)["checks"] if other != suite and path.exists() else ():
            known = check.get("methods", params.run.methods)
            compared = running <= set(known) and changed.items() <= check["code"].items() and "by" not in check
            if compared and own <= searched(other):
                return other
    return None


def _numbers(plan: Plan, sample: Sample, root: Path, workers: int | None) -> Numbers | None:
    """The sample's numbers under the code that runs; None when a job failed."""
    work = [(plan, plan.methods)]
    budgets = _budgets(plan, sample)
    rated = budgets if sample.rates_only else [1.0, *budgets]
    searches = [] if sample.rates_only else _searches(plan, sample)
    failures = (
        run_step("pretrain", plan.pretrain_jobs() if searches else [], work, root, workers)
        or run_step("search", [search.job for search in searches], work, root, workers)
        or run_step("tune", [tuning.job for tuning in plan.tunings() if tuning.budget in rated], work, root, workers)
    )
    transfers = [] if failures else list(_transfers(plan, sample, searches))
    failures = failures or run_step("transfer", [transfer.job for transfer in transfers], work, root, workers)
    if failures:
        raise_damage(failures)
        report_failures(failures)
        return None
    return _plain(_computed(plan, searches, transfers))


def _plain(numbers: Numbers) -> Numbers:
    """The same numbers as JSON keeps them."""
    content: Numbers = {place: json.loads(canonical_json(value)) for place, value in numbers.items()}
    return content


def _of_other_code(folder: Path, sample: Sample, workers: int | None, before: dict[str, str]) -> Numbers:
    """The sample's numbers as the code in `folder` computes them here, in a process of its own."""
    module = next((one for one in ANSWERS if (folder / one.replace(".", "/")).with_suffix(".py").is_file()), None)
    if module is None:
        raise BenchError(f"--against {folder}: no checkout of this project; make one with `git worktree add`")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "numbers.json"
        request = json.dumps({**asdict(sample), "workers": workers, "jobs": workers, "out": str(out)})
        environment = os.environ | {"PYTHONPATH": str(folder.absolute())}
        # It runs in its own folder, with its own description of the suite; -P: PYTHONPATH says which code that is.
        command = [sys.executable, "-P", "-m", module, request]
        ended = subprocess.run(command, cwd=folder, env=environment, check=False)
        if ended.returncode or not out.exists():
            raise BenchError(f"--against {folder}: its code could not compute the sample; its message stands above")
        content = read_json(out)
    for name in ("pretrain", "transfer", "tune", *(f"search-{method}" for method in sample.methods)):
        if content["code"].get(name) != before.get(name):
            raise BenchError(f"--against {folder}: not the code that made the committed results ({name} differs)")
    return {tuple(entry["place"]): entry["value"] for entry in content["numbers"]}


def answer(request: dict[str, Any], root: Path = Path()) -> int:
    """Compute what `recheck --against` of another checkout asks this one for, and write it; returns the exit code."""
    sample = Sample(request["suite"], request["choice"], tuple(request["methods"]), request["rates_only"])
    plan = _narrowed(load_params(root / "params.yaml"), sample, root)
    numbers = mended(plan.store, lambda: _numbers(plan, sample, root, request["workers"]))
    if numbers is None:
        return 1
    listed = [{"place": list(place), "value": value} for place, value in numbers.items()]
    write_json(Path(request["out"]), {"code": plan.code(), "numbers": listed})
    return 0


def _narrowed(params: Params, sample: Sample, root: Path) -> Plan:
    """The suite's plan with one seed and some methods."""
    config = params.suites[sample.suite]
    seed = config.grid.seeds[seeds.derive(0, sample.choice) % len(config.grid.seeds)]
    narrow = config.model_copy(update={"grid": config.grid.model_copy(update={"seeds": [seed]})})
    run = params.run.model_copy(update={"methods": list(sample.methods)})
    suites = {**params.suites, sample.suite: narrow}
    return plan_of(params.model_copy(update={"run": run, "suites": suites}), sample.suite, root)


def _budgets(plan: Plan, sample: Sample) -> list[float]:
    order = sorted(plan.config.grid.budgets, key=lambda budget: seeds.derive(1, sample.choice, str(budget)))
    return order[:BUDGETS]


def _searches(plan: Plan, sample: Sample) -> list[Search]:
    """The searches of the sample: one granularity of each method and variant; the dense model, at no cost, at all."""
    groups: dict[tuple[str, str], list[Search]] = {}
    for method in plan.methods:
        for search in plan.searches(method):
            groups.setdefault((method, search.variant), []).append(search)
    found: list[Search] = []
    for (method, variant), members in groups.items():
        drawn = members[seeds.derive(3, sample.choice, plan.suite, method, variant) % len(members)]
        found += members if method == DENSE else [drawn]
    return found


def _transfers(plan: Plan, sample: Sample, searches: Sequence[Search]) -> Iterator[Transfer]:
    groups: dict[tuple[str, ...], list[Transfer]] = {}
    budgets = (1.0, *_budgets(plan, sample))
    chosen = {search.job.key for search in searches}
    for method in plan.methods:
        # Those whose learning rates have been chosen.
        for transfer in plan.transfers(method, finished_only=True):
            search = transfer.search
            if search.job.key in chosen and transfer.architecture.budget in budgets:
                place = (method, search.variant, search.granularity, transfer.weights, transfer.control)
                groups.setdefault(place, []).append(transfer)
    for group, members in groups.items():
        yield members[seeds.derive(2, sample.choice, *group) % len(members)]


def _computed(plan: Plan, searches: Sequence[Search], transfers: Sequence[Transfer]) -> Numbers:
    numbers: Numbers = {}
    for search in searches:
        for entry in plan.store.get(search.job.key).read(Searched).architectures:
            found = (search.name, search.variant, search.granularity, search.cost, search.seed, entry.budget)
            numbers["architecture", *found] = {name: getattr(entry, name) for name in FOUND}
    for transfer in transfers:
        numbers |= {_place(row): _result(row) for row in result_rows(plan, transfer)}
    for entry in tuning_of(plan, finished_only=True)["rates"]:
        numbers[_rate(entry)] = entry["tried"]
    return numbers


def _committed(plan: Plan, places: Places) -> Numbers:
    numbers: Numbers = {}
    for method in plan.methods:
        for entry in read_search(places.results(plan.suite, f"{method}.search.json"))["architectures"]:
            # One cost needs no name in the files.
            place = {"method": method, "cost": plan.config.grid.costs[0]} | entry
            numbers["architecture", *(place[name] for name in SEARCHED)] = {name: entry[name] for name in FOUND}
        rows, _ = read_results(places.results(plan.suite, f"{method}.json"))
        numbers |= {_place(row): _result(row) for row in rows}
    for entry in read_part(places.results(plan.suite, "tuning.json"), Tuning)[1]["rates"]:
        numbers[_rate(entry)] = entry["tried"]
    return numbers


def _rate(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return "rate", entry["granularity"], entry.get("cost"), entry["budget"], entry["kind"]


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in IDENTITY)


def _result(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in RESULT)


def _record(plan: Plan, places: Places, found: dict[str, Any], by: str | None) -> None:
    path = places.results(plan.suite, NAME)
    record = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": plan.config.grid.seeds[0],
        "methods": plan.methods,
        **found,
        **({} if by is None else {"by": by}),
        "provenance": provenance(plan.device),
    }
    known = read_json(path)["checks"] if path.exists() else []
    write_json(path, {"schema": SCHEMA, "checks": [*known, record]})


def _tell_lock(suite: str, root: Path, others: Sequence[str]) -> None:
    """Write the hashes of the suite's new code files where dvc.lock has those of the old ones, but not for `others`.

    `dvc commit` would do it, but needs the pretrained models and architectures, which are not in git.
    """
    from dvc.utils.serialize import dump_yaml, load_yaml

    path = root / "dvc.lock"
    if not path.exists():
        return
    lock = load_yaml(path)
    for name, stage_lock in lock["stages"].items():
        if name.partition("@")[2] in [f"{suite}-{method}" for method in others]:
            continue
        for dependency in stage_lock.get("deps", []):
            if dependency["path"].startswith(f"reports/code/{suite}/"):
                content = (root / dependency["path"]).read_bytes()
                dependency["md5"], dependency["size"] = (
                    hashlib.md5(content, usedforsecurity=False).hexdigest(),
                    len(content),
                )
    dump_yaml(path, lock)


if __name__ == "__main__":
    sys.exit(answer(json.loads(sys.argv[1])))
