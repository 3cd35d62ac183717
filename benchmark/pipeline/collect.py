"""From finished jobs to the files between stages: rows, timings, and what the searches found."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.analysis.rows import Row
from benchmark.config.ablations import studies_of
from benchmark.files import share
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.results import Floors, Pretrained, Searched, Transferred, Tuned
from benchmark.pipeline.plan import Plan, Search, Transfer

SCHEMA = 1
ARTIFACTS = Path("artifacts")
FOUND = ("budget", "complexity", "params", "macs", "kept", "sizes", "digest", "origin")


def rows_of(plan: Plan, method: str) -> list[Row]:
    """Return the result rows of a method from the store, in a fixed order.

    The order is that of `Plan.transfers` (variant, granularity, seed, falling budget, weights mode), then targets as
    in params.yaml, shots and draw. Raises `KeyError` when a job is missing.
    """
    return [row for transfer in plan.transfers(method) for row in result_rows(plan, transfer)]


def result_rows(plan: Plan, transfer: Transfer) -> list[Row]:
    """Return the rows of one retraining, in the order of `rows_of`."""
    config = plan.config
    place = {target.label: index for index, target in enumerate(config.data.targets)}
    values = plan.store.get(transfer.job.key).read(Transferred)
    search, found, architecture = transfer.search, transfer.found, transfer.architecture
    pretrain_flops = _pretrain_flops(plan, transfer)
    return [
        Row(
            suite=plan.suite,
            model=config.model.name,
            method=search.name,
            variant=search.variant,
            granularity=search.granularity,
            cost=search.cost,
            budget=architecture.budget,
            complexity=architecture.complexity,
            seed=search.seed,
            weights=transfer.weights,
            target=result.target,
            shots=result.shots,
            draw=result.draw,
            arm=transfer.control,
            accuracy=result.accuracy,
            source_accuracy=values.source_accuracy,
            params=values.params,
            macs=values.macs,
            search_flops=found.flops,
            train_flops=result.train_flops,
            cell=transfer.job.key,
            pretrain_flops=pretrain_flops,
            search_cell=search.job.key,
            architecture=architecture.digest,
            measure=result.measure,
            retraining=transfer.retraining,
            episodes=result.episodes,
            episode_sd=result.episode_sd,
            top5=result.top5,
        )
        for result in sorted(values.results, key=lambda r: (place[r.target], r.measure, r.shots, r.draw))
    ]


def _pretrain_flops(plan: Plan, transfer: Transfer) -> int:
    """The operations of the pretrainings that a retraining rests on: the search's, and a teacher's if it is another."""
    if transfer.weights == "inherit":
        return transfer.architecture.state_pretrain_flops
    spent, teacher = transfer.found.pretrain_flops, transfer.job.spec.teacher
    if teacher is None or (spent and teacher == transfer.search.job.spec.pretrain):
        return spent
    return spent + plan.store.get(teacher).read(Pretrained).flops


def tuning_of(plan: Plan, finished_only: bool = False) -> dict[str, Any]:
    """Return the learning rates chosen for every budget, with all that were tried; none without `tuning`.

    They name their cost where the suite has several.
    """
    several = len(plan.config.grid.costs) > 1
    return {
        "schema": SCHEMA,
        "rates": [
            {
                "granularity": tuning.granularity,
                **({"cost": tuning.cost} if several else {}),
                "budget": tuning.budget,
                "kind": kind,
                **choice.model_dump(mode="json"),
                "cell": tuning.job.key,
            }
            for tuning in plan.tunings()
            if not finished_only or plan.store.has(tuning.job.key)
            for kind, choice in plan.store.get(tuning.job.key).read(Tuned).rates.items()
        ],
    }


def floors_of(plan: Plan) -> dict[str, Any]:
    """Return what raw pixels give on the same episodes, a record per seed, target, shots and measure; and chance."""
    floors: list[dict[str, Any]] = []
    chance: dict[str, float] = {}
    for job in plan.floor_jobs():
        found = plan.store.get(job.key).read(Floors)
        floors += [{"seed": job.spec.seed, **floor.model_dump(mode="json")} for floor in found.floors]
        chance = found.chance
    return {"schema": SCHEMA, "floors": floors, "chance": chance}


def timings_of(plan: Plan, method: str) -> dict[str, Any]:
    """Return when each job behind a method's rows ran, for how long and in how much memory."""
    jobs: dict[str, Job[Spec]] = {}
    for job in [*plan.pretrain_jobs(), *plan.search_jobs(method), *plan.transfer_jobs(method)]:
        jobs[job.key] = job
    return {
        "schema": SCHEMA,
        "cells": {key: {"kind": job.kind, **plan.store.get(key).timing} for key, job in jobs.items()},
    }


def architecture_file(suite: str, method: str, search: Search, budget: float) -> Path:
    """Return where an architecture is published; its weights stand beside it as `.weights.safetensors`."""
    cost = "" if search.cost == "params" else f"-{search.cost}"
    name = f"{search.granularity}-{search.variant or 'default'}-s{search.seed}{cost}-b{share(budget)}.safetensors"
    return ARTIFACTS / suite / "search" / method / name


def searches_of(plan: Plan, method: str) -> dict[str, Any]:
    """Return what a method's searches found: a record per architecture, and the traces of those that left one.

    An architecture has `notes` where the search made some, and `distil` where its retraining on the source has a
    teacher: so that whoever reads the file sees it, and DVC when it changes. Of a method with a study in the suite it
    is also said how alike its architectures are: see `benchmark.pipeline.similarity`.
    """
    architectures: list[dict[str, Any]] = []
    traces: list[dict[str, Any]] = []
    for search in plan.searches(method):
        values = plan.store.get(search.job.key).read(Searched)
        architectures += [
            {
                "method": method,
                "variant": search.variant,
                "granularity": search.granularity,
                "cost": search.cost,
                "seed": search.seed,
                **{name: getattr(entry, name) for name in FOUND},
                **({"notes": entry.notes} if entry.notes else {}),
                **_distilled(plan, search),
                "file": architecture_file(plan.suite, method, search, entry.budget).as_posix(),
                "search_cell": search.job.key,
                "reference": search.method.reference,
            }
            for entry in sorted(values.architectures, key=lambda entry: -entry.budget)
        ]
        if values.trace:
            place = {"variant": search.variant, "granularity": search.granularity, "seed": search.seed}
            traces.append({**place, "points": values.trace})
    found = {"schema": SCHEMA, "architectures": architectures, "traces": traces}
    if any(study.method == method for study in studies_of(plan.params, plan.suite)):
        from benchmark.pipeline.similarity import likeness_of

        found |= likeness_of(plan, method)
    return found


def _distilled(plan: Plan, search: Search) -> dict[str, str]:
    kind = plan.params.distil_of(plan.suite, search.name, search.variant)
    return {} if kind == "none" else {"distil": kind}


def published_files(plan: Plan, method: str) -> Iterable[tuple[Path, Path]]:
    """Yield (file in the store, where it is published) for every architecture and its weights, contents verified."""
    for search in plan.searches(method):
        found = plan.store.verify(search.job.key)
        for entry in found.read(Searched).architectures:
            target = architecture_file(plan.suite, method, search, entry.budget)
            yield found.files[entry.file], target
            yield found.files[entry.state_file], target.with_suffix(".weights.safetensors")
