"""What is done around the jobs of a grid once all are finished: how long it takes, by the number of jobs.

The jobs of one seed are computed; those of the others are copies of them, with accuracies of their own, so that ten
thousand finished jobs cost minutes. All of it lies in a temporary folder: no copy is ever a result.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmark.config.params import Params, Section, load_params
from benchmark.errors import BenchError
from benchmark.jobs.job import Job, JobOutput, Spec
from benchmark.jobs.results import Floors, Pretrained, Searched, Transferred
from benchmark.jobs.specs import FloorSpec, PretrainSpec, SearchSpec, TransferSpec
from benchmark.jobs.store import Store
from benchmark.pipeline.plan import Plan
from benchmark.pipeline.stages import plan_of, prepare_data, run_suite
from benchmark.studies.reliability.suite import call

SUITE = "grid"
PARAMS = """\
run: {suites: [grid], methods: [dense, uniform, flat, random]}
compute: {workers: 1, threads: 1, device: cpu}
methods: {dense: {}, uniform: {}, flat: {}, random: {params: {allocation: scores}}}
suites:
  grid:
    title: Many jobs
    data:
      source: {name: digits, classes: [0, 1, 2]}
      targets: [{label: digits-3-5, name: digits, classes: [3, 4, 5]}]
    model: {name: "own:vgg16", width: 0.0625}
    grid:
      granularities: [channel]
      costs: [params, macs]
      budgets: [0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.04]
      seeds: SEEDS
    training: {steps: 1, batch: 8, lr: 0.05}
    transfer:
      weights: [fresh]
      shots: [1]
      draws: 1
      finetune: {steps: 1, batch: 3, lr: 0.05}
    methods: {dense: {}, uniform: {}, flat: {}, random: {}}
"""
RETURNED: dict[type[Spec], type[Section]] = {
    PretrainSpec: Pretrained,
    SearchSpec: Searched,
    FloorSpec: Floors,
    TransferSpec: Transferred,
}
# With nothing left to compute; what MLflow has is removed before every `track`.
COMMANDS = {
    "run": f"run --suite {SUITE}",
    "analyse": f"stage analyse --suite {SUITE}",
    "report": f"stage report --suite {SUITE}",
    "page": "stage page",
    "track": f"track --suite {SUITE}",
}


class Grid:
    """A suite in a folder, with the finished jobs of one seed; it grows by copies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        params = self._described([0])
        if run_suite(params, root=root) != 0:
            raise BenchError("the jobs of one seed failed; they are listed above")
        self._plan = plan_of(params, SUITE, root, prepare_data(params, SUITE, root))
        self._known = {job.unseeded: job for job in _jobs(self._plan)}

    def grow(self, count: int) -> int:
        """Have about `count` finished jobs, of two seeds at least; returns how many they are."""
        seeds = max(2, round(count / len(self._known)))
        plan = replace(self._plan, params=self._described(range(seeds)))
        jobs = 0
        for job in _jobs(plan):
            if not plan.store.has(job.key):
                _copy(plan.store, self._known[job.unseeded], job)
            jobs += 1
        return jobs

    def _described(self, seeds: Sequence[int]) -> Params:
        (self.root / "params.yaml").write_text(PARAMS.replace("SEEDS", str(list(seeds))))
        return load_params(self.root / "params.yaml")


@contextmanager
def grid() -> Iterator[Grid]:
    """Yield a grid in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="dapbench-") as name:
        yield Grid(Path(name))


def seconds(root: Path, command: str, times: int) -> list[float]:
    """Return how long a command took, each of `times` times."""
    taken = []
    for _ in range(times):
        for path in (root / "mlflow.db", root / "mlruns", root / "mlartifacts"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        start = time.perf_counter()
        code, told = call(root, COMMANDS[command])
        taken.append(time.perf_counter() - start)
        if code != 0:
            raise BenchError(f"dapbench {COMMANDS[command]} ended with exit code {code}: {told.strip()}")
    return taken


def _jobs(plan: Plan) -> Iterator[Job[Spec]]:
    """The jobs of a suite, each as soon as those that it follows from are finished."""
    yield from plan.pretrain_jobs()
    yield from plan.floor_jobs()
    for method in plan.methods:
        yield from plan.search_jobs(method)
        yield from plan.transfer_jobs(method)


def _copy(store: Store, known: Job[Spec], job: Job[Spec]) -> None:
    result = store.get(known.key)
    values = result.read(RETURNED[type(job.spec)])
    if isinstance(values, Transferred):
        draw = Random(job.key)
        values = values.model_copy(
            update={"results": [one.model_copy(update={"accuracy": draw.random()}) for one in values.results]}
        )
    files = {name: path.read_bytes() for name, path in result.files.items()}
    store.put(job, JobOutput(values, files), result.timing)
