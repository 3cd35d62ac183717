"""Whether committed results stand after a change of code: a sample of their cells is computed anew and compared.

A cell's key holds the code it runs through, so that a changed computation never serves an old result. A change that
leaves results as they are (a new kind of model, a faster loop) would cost a published suite hours all the same. Here a
sample is recomputed instead, and only if every number of it is the same, bit for bit, the pipeline's lock is told.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark import seeds
from benchmark.assemble import FOUND, result_rows, tuning_of
from benchmark.config import Params
from benchmark.errors import BenchError
from benchmark.files import canonical_json, read_json, sha256, write_json
from benchmark.plan import Digests, Plan, Transfer
from benchmark.provenance import provenance
from benchmark.rows import Row, read_results
from benchmark.stages import Places, fill, plan_of, prepare_data, run_step, stage, tell

SCHEMA = 1
SHOWN = 10
BUDGETS = 2  # of the suite's, whose retrainings are checked
NAME = "recheck.json"
PLACE = ("method", "variant", "granularity", "budget", "seed", "weights", "target", "shots", "draw", "arm")
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


def recheck(params: Params, suite: str, jobs: int | None = None, root: Path = Path()) -> int:
    """Recompute a sample of a suite's cells under the present code; returns the exit code, 1 when a number differs.

    The sample is drawn by the code's hash: one seed's pretraining and all its searches; and at two budgets the choice
    of learning rates, and for each method, variant, granularity, weights mode and arm one retraining. If all of it
    equals the committed rows, reports/results/SUITE/recheck.json says so, and dvc.lock takes the present code for the
    one that made the results. `BenchError` when there are no committed results, or they are of other data.
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
    choice = sha256(canonical_json(now))
    plan = _narrowed(params, suite, root, choice)
    tunings = [tuning.cell for tuning in plan.tunings() if tuning.budget in (1.0, *_budgets(plan, choice))]
    work = [(plan, plan.methods)]
    failures = fill(work, root, jobs, "search") or run_step("tune", tunings, work, root, jobs)
    sample = [] if failures else list(_sample(plan, choice))
    failures = failures or run_step("transfer", [transfer.cell for transfer in sample], work, root, jobs)
    if failures:
        return tell(failures)
    computed, committed = _computed(plan, sample), _committed(plan, places)
    wrong = [place for place, value in computed.items() if place not in committed or committed[place] != value]
    for place in wrong[:SHOWN]:
        name = " ".join(str(part) for part in place if part != "")
        console.print(f"{name}: {committed.get(place)} committed, {computed[place]} now", soft_wrap=True)
    if wrong:
        remedy = f"`dapbench reproduce --suite {suite}` recomputes the suite"
        console.print(f"{suite}: {len(wrong)} of {len(computed)} results differ; {remedy}", soft_wrap=True)
        return 1
    _record(plan, places, before, now, computed)
    stage(params, "code", suite, root=root)
    _tell_lock(suite, root)
    console.print(f"{suite}: {len(computed)} recomputed results are the committed ones, bit for bit; all stand.")
    return 0


def _narrowed(params: Params, suite: str, root: Path, choice: str) -> Plan:
    """The suite's plan with one seed."""
    config = params.suites[suite]
    seed = config.grid.seeds[seeds.derive(0, choice) % len(config.grid.seeds)]
    narrow = config.model_copy(update={"grid": config.grid.model_copy(update={"seeds": [seed]})})
    return plan_of(params.model_copy(update={"suites": {**params.suites, suite: narrow}}), suite, root)


def _budgets(plan: Plan, choice: str) -> list[float]:
    order = sorted(plan.config.grid.budgets, key=lambda budget: seeds.derive(1, choice, str(budget)))
    return order[:BUDGETS]


def _sample(plan: Plan, choice: str) -> Iterator[Transfer]:
    groups: dict[tuple[str, ...], list[Transfer]] = {}
    budgets = (1.0, *_budgets(plan, choice))
    for method in plan.methods:
        # Those whose learning rates have been chosen.
        for transfer in plan.transfers(method, finished_only=True):
            search = transfer.search
            if transfer.architecture["budget"] in budgets:
                place = (method, search.variant, search.granularity, transfer.weights, transfer.arm)
                groups.setdefault(place, []).append(transfer)
    for group, members in groups.items():
        yield members[seeds.derive(2, choice, *group) % len(members)]


def _computed(plan: Plan, sample: list[Transfer]) -> Numbers:
    numbers: Numbers = {}
    for method in plan.methods:
        for search in plan.searches(method):
            for entry in plan.store.get(search.cell.key).values["architectures"]:
                place = ("architecture", method, search.variant, search.granularity, search.seed, entry["budget"])
                numbers[place] = {name: entry[name] for name in FOUND}
    for transfer in sample:
        numbers |= {_place(row): _result(row) for row in result_rows(plan, transfer)}
    for entry in tuning_of(plan, finished_only=True)["rates"]:
        numbers["rate", entry["granularity"], entry["budget"], entry["kind"]] = entry["tried"]
    return numbers


def _committed(plan: Plan, places: Places) -> Numbers:
    numbers: Numbers = {}
    for method in plan.methods:
        for entry in read_json(places.results(plan.suite, f"{method}.search.json"))["architectures"]:
            place = ("architecture", method, entry["variant"], entry["granularity"], entry["seed"], entry["budget"])
            numbers[place] = {name: entry[name] for name in FOUND}
        rows, _ = read_results(places.results(plan.suite, f"{method}.json"))
        numbers |= {_place(row): _result(row) for row in rows}
    for entry in read_json(places.results(plan.suite, "tuning.json"))["rates"]:
        numbers["rate", entry["granularity"], entry["budget"], entry["kind"]] = entry["tried"]
    return numbers


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in PLACE)


def _result(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in RESULT)


def _record(plan: Plan, places: Places, before: dict[str, str], now: dict[str, str], computed: Numbers) -> None:
    path = places.results(plan.suite, NAME)
    record = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": plan.config.grid.seeds[0],
        "results": len(computed),
        "code": {name: [before.get(name), digest] for name, digest in now.items() if before.get(name) != digest},
        "provenance": provenance(plan.device),
    }
    known = read_json(path)["checks"] if path.exists() else []
    write_json(path, {"schema": SCHEMA, "checks": [*known, record]})


def _tell_lock(suite: str, root: Path) -> None:
    """Write the hashes of the suite's new code files where dvc.lock has those of the old ones.

    `dvc commit` would do it, but needs the pretrained models and architectures, which are not in git.
    """
    from dvc.utils.serialize import dump_yaml, load_yaml

    path = root / "dvc.lock"
    if not path.exists():
        return
    lock = load_yaml(path)
    for stage_lock in lock["stages"].values():
        for dependency in stage_lock.get("deps", []):
            if dependency["path"].startswith(f"reports/code/{suite}/"):
                content = (root / dependency["path"]).read_bytes()
                dependency["md5"], dependency["size"] = (
                    hashlib.md5(content, usedforsecurity=False).hexdigest(),
                    len(content),
                )
    dump_yaml(path, lock)
