"""Finished jobs without any training: made-up values with the shape of real ones, for tests of what surrounds them."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.config.params import Params, Section
from benchmark.jobs.job import Job, JobOutput, Spec
from benchmark.jobs.results import (
    Choice,
    Found,
    Measured,
    Pretrained,
    Searched,
    SourceAccuracy,
    Transferred,
    Tried,
    Tuned,
)
from benchmark.jobs.specs import SearchSpec
from benchmark.jobs.store import Store
from benchmark.pipeline.plan import Digests, Plan

TIMING = {"started": 1000.0, "seconds": 2.0, "peak_mb": 300.0}
DIGESTS = Digests("s" * 64, {"digits-3-5": "t" * 64})
SIZES = {"conv1": 8, "conv2": 16}


def plan_for(params: Params, root: Path, suite: str = "tiny", digests: Digests = DIGESTS) -> Plan:
    return Plan(params, suite, digests, Store(root / ".jobs"))


def finish(store: Store, job: Job[Spec], values: Section, files: dict[str, bytes] | None = None) -> None:
    store.put(job, JobOutput(values, files or {}), TIMING)


def pretrain(plan: Plan) -> None:
    for job in plan.pretrain_jobs():
        values = Pretrained(accuracy=SourceAccuracy(validation=0.5, test=0.5), flops=700, steps=6)
        finish(plan.store, job, values, {"final.safetensors": b"weights %d" % job.spec.seed})


def architecture(spec: SearchSpec, budget: float, kept: dict[str, int]) -> Found:
    name = f"b{budget:g}"
    identity = f"{spec.method}-{spec.granularity}-{spec.seed}-{sorted(spec.params.items())}-{name}"
    return Found(
        budget=budget,
        complexity=budget,
        params=int(1000 * budget),
        macs=int(5000 * budget),
        kept=kept,
        sizes=SIZES,
        digest=identity.encode().hex(),
        file=f"{name}.safetensors",
        state_file=f"{name}.weights.safetensors",
        state_pretrain_flops=700,
    )


def search(plan: Plan, method: str) -> None:
    for job in plan.search_jobs(method):
        spec = job.spec
        if method == "dense":
            found = [architecture(spec, 1.0, SIZES)]
        else:
            found = [
                architecture(spec, budget, {name: max(1, int(size * budget)) for name, size in SIZES.items()})
                for budget in spec.budgets
            ]
        trace = [{"step": 0, "loss": 1.5, "complexity": 0.9, "multiplier": 0.1, "undecided": 0.4}]
        files = {entry.file: entry.digest.encode() for entry in found}
        files |= {entry.state_file: f"{entry.digest} weights".encode() for entry in found}
        values = Searched(architectures=found, flops=300, pretrain_flops=0, trace=trace if method == "dap" else None)
        finish(plan.store, job, values, files)


def tune(plan: Plan) -> None:
    """Rates that tell the budget (their fraction), the granularity (from 10 on: weights) and the recipe (the ones)."""
    for job in plan.tune_jobs():
        spec = job.spec
        kinds = ["training", "finetune", *([] if spec.scratch is None else ["scratch"])]
        first = spec.budget + (10 if spec.granularity == "weight" else 0)
        rates = {
            kind: Choice(lr=first + number, tried=[Tried(lr=first + number, accuracy=0.5)])
            for number, kind in enumerate(kinds, start=1)
        }
        finish(plan.store, job, Tuned(rates=rates))


def transfer(plan: Plan, method: str) -> None:
    for job in plan.transfer_jobs(method):
        spec = job.spec
        results = [
            Measured(
                target=target.label,
                shots=shots,
                draw=draw,
                accuracy=0.25 + shots / 100 + draw / 1000,
                train_flops=14 * spec.training.steps + target.recipe.steps,
            )
            for target in spec.targets
            for shots in target.shots
            for draw in range(target.draws)
        ]
        source_accuracy = None if spec.weights == "scratch" else 0.75
        finish(plan.store, job, Transferred(source_accuracy=source_accuracy, params=10, macs=50, results=results))


def everything(plan: Plan, methods: Sequence[str] | None = None) -> None:
    """Finish every job of a plan's methods."""
    pretrain(plan)
    tune(plan)
    for method in methods or plan.methods:
        search(plan, method)
        transfer(plan, method)
