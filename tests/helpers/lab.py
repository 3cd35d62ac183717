"""The three steps on a suite of seconds, computed in one store for all tests of this folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from benchmark.config.params import DatasetRef
from benchmark.data import prepare
from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.options import options
from benchmark.jobs.specs import PretrainSpec, SearchSpec, TargetSpec, TransferSpec, TuneSpec
from benchmark.jobs.store import Context, Store
from benchmark.protocol import learning_rates, pretrain, search, transfer
from benchmark.protocol.fewshot import Draw, target_draws
from benchmark.protocol.source import Source
from benchmark.protocol.target import open_target
from benchmark.pruning.registry import pruner
from benchmark.training.loop import Task

SOURCE: dict[str, Any] = {"name": "digits", "classes": [0, 1, 2]}
TARGET: dict[str, Any] = {"name": "digits", "classes": [3, 4, 5]}
# Of a few classes some can be kept back, to try learning rates on.
WIDE: dict[str, Any] = {"name": "digits", "classes": [0, 1, 2, 3, 4]}
VGG: dict[str, Any] = {"name": "own:vgg16", "width": 0.0625}
RESNET: dict[str, Any] = {"name": "own:resnet20", "width": 0.25}
RECIPE: dict[str, Any] = {"steps": 20, "batch": 32, "lr": 0.1, "norm_momentum": 0.5}
FINETUNE: dict[str, Any] = {"steps": 4, "batch": 15, "lr": 0.05, "norm_momentum": 0.5}
COMPUTE = {
    "pretrain": pretrain.compute,
    "tune": learning_rates.compute,
    "search": search.compute,
    "transfer": transfer.compute,
}


@dataclass
class Lab:
    """Makes specs as a plan does, computes them and publishes them, each once."""

    context: Context
    digests: dict[str, str]
    done: dict[str, JobOutput] = field(default_factory=dict)

    def source(self, seed: int, model: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "source": SOURCE,
            "source_digest": self.digests["source"],
            "split": {},
            "model": dict(model),
            "training": RECIPE,
            "seed": seed,
            "device": "cpu",
        }

    def pretrain(self, seed: int = 0, model: Mapping[str, Any] = VGG) -> Job:
        return Job(PretrainSpec.model_validate(self.source(seed, model)), label="pretrain")

    def search(
        self,
        method: str,
        granularity: str = "channel",
        seed: int = 0,
        model: Mapping[str, Any] = VGG,
        **params: Any,
    ) -> Job:
        spec = self.source(seed, model) | {
            "cost": "params",
            "granularity": granularity,
            "budgets": [0.5, 0.1],
            "method": method,
            "params": params,
            "pretrain": self.key(self.pretrain(seed, model)),
        }
        return Job(SearchSpec.model_validate(spec), (pruner(method).__module__,), label=method)

    def tune(self, granularity: str = "channel", budget: float = 0.5, **changes: Any) -> Job:
        """The choice of rates for one budget, on a source of five classes; `changes` of the spec."""
        spec = self.source(0, VGG) | {
            "source": WIDE,
            "source_digest": self.digests["wide"],
            "cost": "params",
            "granularity": granularity,
            "budget": budget,
            "factors": [0.1, 1.0],
            "architectures": 2,
            "finetune": FINETUNE,
            "scratch": FINETUNE,
            "shots": [1, 5],
            "draws": 2,
        }
        return Job(TuneSpec.model_validate(spec | changes), label="tune")

    def transfer(
        self,
        found: Job,
        weights: str,
        budget: float | None = None,
        form: Any = None,
        training: Any = None,
        **target: Any,
    ) -> Job:
        """The retraining of what the search job `found` has at `budget` (None: its first).

        `training` is changed in the recipe of the source, `target` in the entry of the only target.
        """
        values = self.output(found).values
        entry = next(e for e in values.architectures if budget in (None, e.budget))
        known = options(found.spec)
        spec = {key: known.get(key, {}) for key in self.source(0, VGG)} | {
            "targets": [self.target(**target)],
            "weights": weights,
            "granularity": found.spec.granularity,
            "form": form or {"architecture": entry.digest},
        }
        spec["training"] = spec["training"] | (training or {})
        inputs = {"search": self.key(found), "architecture": entry.file}
        if weights == "inherit":
            spec["state"] = self.context.store.get(inputs["search"]).digests[entry.state_file]
            inputs["state"] = entry.state_file
        return Job(TransferSpec.model_validate(spec), inputs=inputs, label="transfer")

    def target(self, **changes: Any) -> dict[str, Any]:
        """An entry of a transfer's targets."""
        return {
            "label": "digits-3-5",
            "ref": TARGET,
            "digest": self.digests["target"],
            "pool": 20,
            "shots": [1, 5],
            "draws": 2,
            "recipe": FINETUNE,
        } | changes

    def tasks(self, **changes: Any) -> TargetSpec:
        """The same, typed."""
        return TargetSpec.model_validate(self.target(**changes))

    def key(self, job: Job) -> str:
        """Compute the job if need be, and return where it is."""
        self.output(job)
        return job.key

    def output(self, job: Job) -> JobOutput:
        if job.key not in self.done:
            self.done[job.key] = self.again(job)
            self.context.store.put(job, self.done[job.key], {"started": 0.0, "seconds": 0.0, "peak_mb": 0.0})
        return self.done[job.key]

    def again(self, job: Job) -> JobOutput:
        return COMPUTE[job.kind](job, self.context)

    def pretrained(self, seed: int = 0, model: Mapping[str, Any] = VGG) -> dict[str, Tensor]:
        return load(self.output(self.pretrain(seed, model)).files["final.safetensors"])


def changed(job: Job[Any], **changes: Any) -> Job[Any]:
    """The job with other values (JSON) in its spec."""
    return replace(job, spec=type(job.spec).model_validate(options(job.spec) | changes))


def furnished(root: Path) -> Lab:
    refs = {"source": SOURCE, "target": TARGET, "wide": WIDE}
    digests = {name: prepare(DatasetRef(**ref), root / "data")["digest"] for name, ref in refs.items()}
    return Lab(Context(Store(root / "jobs"), root / "data"), digests)


def drawn(spec: TargetSpec, seed: int, source: Source, root: Path) -> list[Draw]:
    """The few-shot tasks on a target."""
    return target_draws(open_target(spec, seed, source, root), spec, source)


def pixels(task: Task) -> Tensor:
    """All images of a task, in its order."""
    return task.pixels(torch.arange(len(task)))
