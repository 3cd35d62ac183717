"""From params.yaml to jobs: what a suite's grid consists of, without computing any of it.

Nothing here imports torch: a pipeline stage whose jobs are all finished takes a fraction of a second. For that,
what only a method's class can tell is remembered in the store, under the hash of its code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.config.params import DatasetRef, Params, Recipe, SuiteConfig, TargetRef, parse
from benchmark.files import share
from benchmark.jobs.fingerprint import fingerprint
from benchmark.jobs.options import options
from benchmark.jobs.store import Job, JobResult, Kind, Store
from benchmark.pipeline.plan_cache import elsewhere, module_of, remembered
from benchmark.protocol import controls

# Rough durations relative to a pretraining; they only decide which jobs start first.
HINTS = {"pretrain": 1.0, "tune": 10.0, "search": 1.5, "fresh": 1.5, "scratch": 0.6, "inherit": 0.6}


@dataclass(frozen=True)
class Digests:
    """Content hashes of a suite's prepared data, from its manifests."""

    source: str
    targets: Mapping[str, str]

    @classmethod
    def of(cls, manifests: Mapping[str, Any]) -> "Digests":
        """Take the hashes from `{"source": manifest, "targets": {label: manifest}}`."""
        targets = {label: manifest["digest"] for label, manifest in manifests["targets"].items()}
        return cls(manifests["source"]["digest"], targets)


@dataclass(frozen=True)
class Method:
    """What is known of a method with some parameters: its module, its citation and its non-default parameters."""

    module: str
    reference: str
    granularities: tuple[str, ...]
    params: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """A search job and its place in the grid, or in the control `control`."""

    job: Job
    name: str
    variant: str
    granularity: str
    seed: int
    method: Method
    control: str = ""


@dataclass(frozen=True)
class Transfer:
    """The transfer job of one architecture (an entry of the search's values) in one weights mode.

    Several places of the grid may share a job. `control` is "" in the grid itself.
    """

    job: Job
    search: Search
    found: JobResult
    architecture: dict[str, Any]
    weights: str
    control: str = ""


@dataclass(frozen=True)
class Tuning:
    """The job that chooses the learning rates of one budget."""

    job: Job
    granularity: str
    budget: float


@dataclass(frozen=True)
class Plan:
    """The grid of one suite. `device` is "cpu" or "cuda"; `digests` are those of the prepared data."""

    params: Params
    suite: str
    digests: Digests
    store: Store
    device: str = "cpu"

    @property
    def config(self) -> SuiteConfig:
        """The suite's section of params.yaml."""
        return self.params.suites[self.suite]

    @property
    def methods(self) -> list[str]:
        """The methods that run in this suite, in the order of params.yaml."""
        return [name for name in self.params.run.methods if name in self.config.methods]

    def pretrain_jobs(self) -> list[Job]:
        """Return the pretraining of the large model for every seed, then those of controls that have their own."""
        own = [control for control in self.config.transfer.controls if control in controls.PRETRAINED]
        return [self._pretrain_job(seed, control) for control in ("", *own) for seed in self.config.grid.seeds]

    def tunings(self) -> list[Tuning]:
        """Return the choices of learning rates: one for the large model, one per granularity and budget; or none."""
        if self.config.tuning is None:
            return []
        grid = self.config.grid
        places = [(grid.granularities[0], 1.0)]
        places += [(g, budget) for g in grid.granularities for budget in sorted(grid.budgets, reverse=True)]
        return [Tuning(self._tune_job(*place), *place) for place in places]

    def tune_jobs(self) -> list[Job]:
        """Return the jobs of `tunings`."""
        return [tuning.job for tuning in self.tunings()]

    def search_jobs(self, method: str) -> list[Job]:
        """Return the searches of a method, those of the grid first, in the order of `searches`."""
        return [search.job for search in self._all_searches(method)]

    def transfer_jobs(self, method: str, finished_only: bool = False) -> list[Job]:
        """Return the retrainings of a method's architectures, each job once."""
        jobs = [transfer.job for transfer in self.transfers(method, finished_only)]
        return list({job.key: job for job in jobs}.values())

    def _all_searches(self, method: str) -> list[Search]:
        own = [control for control in self.config.transfer.controls if control in controls.SEARCHED]
        return [search for control in ("", *own) for search in self.searches(method, control)]

    def searches(self, method: str, control: str = "") -> list[Search]:
        """Return the searches of a method, in the grid or in an control.

        By variant ("" first), granularity and seed, as in params.yaml.
        """
        variants = self.params.methods[method].variants
        found = []
        chosen = self.config.methods[method].variants
        for variant in ("", *(variants if chosen is None else chosen)):
            info = self.method(method, variant)
            wanted = variants[variant].granularities if variant else None
            for granularity in self.config.grid.granularities:
                if control and not controls.concerns(control, method, variant, granularity):
                    continue
                if granularity in info.granularities and granularity in (wanted or [granularity]):
                    found += [
                        self._search(method, info, variant, granularity, seed, control)
                        for seed in self.config.grid.seeds
                    ]
        return found

    def transfers(self, method: str, finished_only: bool = False) -> Iterator[Transfer]:
        """Yield the retrainings of everything that a method's searches found, in a fixed order.

        The searches, and the choices of learning rates, must be in the store (`KeyError` otherwise); `finished_only`
        passes over what lacks them. The controls that have searches of their own come after the grid.
        """
        whole: dict[tuple[str, int], tuple[Search, JobResult, dict[str, Any]]] = {}
        for search in self._all_searches(method):
            if finished_only and not self.store.has(search.job.key):
                continue
            found = self.store.get(search.job.key)
            for architecture in sorted(found.values["architectures"], key=lambda entry: -entry["budget"]):
                origin = search, found, architecture
                if _is_whole(architecture):
                    # With no unit removed, all granularities are the same network: the first one's job serves all.
                    origin = whole.setdefault((search.variant, search.seed), origin)
                try:
                    rates = self._rates(origin[0].granularity, origin[2]["budget"])
                except KeyError:
                    if finished_only:
                        continue
                    raise
                for control, weights in self._retrainings(search):
                    job = self._transfer_job(*origin, weights, rates, control)
                    yield Transfer(job, search, found, architecture, weights, control)

    def _retrainings(self, search: Search) -> list[tuple[str, str]]:
        """The controls ("": the grid) and weights modes in which what a search found is retrained."""
        if search.control:
            return [(search.control, controls.WEIGHTS)]
        transfer, place = self.config.transfer, (search.name, search.variant, search.granularity)
        return [
            *(("", weights) for weights in transfer.weights),
            *(
                (control, controls.WEIGHTS)
                for control in transfer.controls
                if control not in controls.SEARCHED and controls.concerns(control, *place)
            ),
        ]

    def method(self, name: str, variant: str = "") -> Method:
        """Return a method with the parameters of a variant; a suite's own parameters go before the variant's."""
        section = self.params.methods[name]
        merged = (
            section.params | (section.variants[variant].params if variant else {}) | self.config.methods[name].params
        )
        where = f"suites.{self.suite}.methods.{name}"

        def look() -> dict[str, Any]:
            from benchmark.pruning.registry import pruner

            pruner_class = pruner(name, "run.methods")
            given = parse(pruner_class.Parameters, merged, where)
            return {
                "module": pruner_class.__module__,
                "reference": pruner_class.reference,
                "granularities": list(pruner_class.granularities),
                "params": given.model_dump(mode="json", exclude_defaults=True),
            }

        answer = remembered(self.store, {"method": name, "params": merged}, look)
        granularities = tuple(answer["granularities"])
        return Method(answer["module"], answer["reference"], granularities, answer["params"])

    @cached_property
    def model_module(self) -> str:
        """The module that defines the suite's large model."""
        return module_of(self.config.model, self.store)

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """What keys say of a large model that is a library's, or pretrained elsewhere."""
        return elsewhere(self.config.model, self.store, f"suites.{self.suite}.model")

    def code(self) -> dict[str, str]:
        """Return the code fingerprint of every kind of job in this suite: pretrain, transfer, search-METHOD."""
        roots: dict[str, Job] = {kind: Job(kind, {}) for kind in ("pretrain", "tune", "transfer")}
        roots |= {f"search-{name}": Job("search", {}, (self.method(name).module,)) for name in self.methods}
        return {name: fingerprint((job.module, *job.modules, self.model_module)) for name, job in roots.items()}

    def _source(self, seed: int) -> dict[str, Any]:
        config, threads = self.config, self.params.compute.threads
        # Another number of threads sums in another order. One thread is the default, and left out as all defaults are.
        return ({} if threads == 1 else {"threads": threads}) | {
            "source": options(config.data.source),
            "source_digest": self.digests.source,
            "split": options(config.data.split),
            "model": options(config.model.untrained()),
            "training": options(config.training),
            "seed": seed,
            "device": self.device,
            **self.elsewhere,
        }

    def _job(self, kind: Kind, spec: dict[str, Any], label: str, hint: float, **more: Any) -> Job:
        modules = (*more.pop("modules", ()), self.model_module)
        return Job(kind, spec, modules, label=f"{self.suite} {kind} {label}", hint=hint, **more)

    def _pretrain_job(self, seed: int, control: str = "") -> Job:
        own = {"sanity": control} if control in controls.PRETRAINED else {}
        file = self.config.model.file
        # The content of the file is in the key, its place is not.
        inputs = {} if file is None else {"weights": str(Path(file).expanduser().absolute())}
        label = " ".join(filter(None, (f"s{seed}", *own.values())))
        return self._job("pretrain", self._source(seed) | own, label, HINTS["pretrain"], inputs=inputs)

    def _tune_job(self, granularity: str, budget: float) -> Job:
        config, tuning = self.config, self.config.tuning
        assert tuning is not None
        transfer = config.transfer
        spec = self._source(tuning.seed) | {
            "cost": config.grid.cost,
            "granularity": granularity,
            "budget": budget,
            "factors": sorted(tuning.factors),
            "architectures": tuning.architectures,
            "finetune": options(transfer.finetune),
            "shots": sorted(transfer.shots),
            "draws": transfer.draws,
        }
        if "scratch" in transfer.weights:
            spec["scratch"] = options(transfer.scratch)
        # The more is kept, the longer it takes; and the large model is one architecture, not several.
        hint = HINTS["tune"] * (budget if granularity == "channel" else 1.0)
        return self._job("tune", spec, f"{granularity} b{share(budget)}", hint)

    def _rates(self, granularity: str, budget: float) -> dict[str, float]:
        """The learning rates chosen for a budget, by recipe; `KeyError` when they are not in the store yet."""
        if self.config.tuning is None:
            return {}
        if budget == 1:
            granularity = self.config.grid.granularities[0]
        rates = self.store.get(self._tune_job(granularity, budget).key).values["rates"]
        return {kind: entry["lr"] for kind, entry in rates.items()}

    def _search(self, name: str, method: Method, variant: str, granularity: str, seed: int, control: str) -> Search:
        grid = self.config.grid
        spec = self._source(seed) | {
            "cost": grid.cost,
            "granularity": granularity,
            "budgets": sorted(grid.budgets, reverse=True),
            "method": name,
            "params": method.params,
            "pretrain": self._pretrain_job(seed, control).key,
        }
        if control:
            spec["sanity"] = control
        label = " ".join(filter(None, (name, variant, granularity, f"s{seed}", control)))
        job = self._job("search", spec, label, HINTS["search"], modules=(method.module,))
        return Search(job, name, variant, granularity, seed, method, control)

    def _target(self, target: TargetRef, recipe: Recipe) -> dict[str, Any]:
        """A target as a transfer job's spec has it: the set, the few-shot tasks on it, and the recipe."""
        ref = DatasetRef(**target.model_dump(include=set(DatasetRef.model_fields)))
        own = {name: value for name in ("steps", "batch") if (value := getattr(target, name)) is not None}
        entry: dict[str, Any] = {
            "label": target.label,
            "ref": options(ref),
            "digest": self.digests.targets[target.label],
            "pool": self.config.pool(target),
            "shots": self.config.shots(target),
            "draws": self.config.draws(target),
            "recipe": options(recipe.model_copy(update=own)),
        }
        return entry | {name: value for name in ("test", "ways") if (value := getattr(target, name)) is not None}

    def _transfer_job(
        self,
        search: Search,
        found: JobResult,
        architecture: dict[str, Any],
        weights: str,
        rates: Mapping[str, float],
        control: str,
    ) -> Job:
        transfer = self.config.transfer
        form: dict[str, Any]
        if _is_whole(architecture):
            form = {"dense": True}
        elif control == "shuffled" and search.granularity == "weight":
            # Which units are kept is drawn from the seed, so their numbers say all. Of channels they do so anyway.
            form = {"shuffled": architecture["kept"]}
        elif search.granularity == "channel" and weights != "inherit":
            # Channels of a layer are exchangeable once their weights are drawn anew: equal widths, one job.
            form = {"kept": architecture["kept"]}
        else:
            form = {"architecture": architecture["digest"]}
        recipe = _at(transfer.scratch if weights == "scratch" else transfer.finetune, weights, rates)
        training = self.config.training
        if weights == "fresh":
            training = _at(training, "training", rates)
        if control == "twice":
            training = training.model_copy(update={"steps": 2 * training.steps})
        spec = self._source(search.seed) | {
            "targets": [self._target(target, recipe) for target in self.config.data.targets],
            "training": options(training),
            "weights": weights,
            "granularity": search.granularity,
            "form": form,
        }
        if control == "flops":
            spec["flops_cap"] = transfer.flops_cap
        inputs = {"search": search.job.key, "architecture": architecture["file"]}
        if weights == "inherit":
            spec["state"] = found.digests[architecture["state_file"]]
            inputs["state"] = architecture["state_file"]
        place = search.job.label.removeprefix(f"{self.suite} search ")
        own = "" if search.control else control  # an control's search has its name already
        label = " ".join(filter(None, (place, f"b{share(architecture['budget'])}", weights, own)))
        return self._job("transfer", spec, label, HINTS[weights], inputs=inputs)


def _at(recipe: Recipe, kind: str, rates: Mapping[str, float]) -> Recipe:
    """The recipe at its chosen rate; both `fresh` and `inherit` weights are fine-tuned."""
    name = kind if kind in ("training", "scratch") else "finetune"
    return recipe.model_copy(update={"lr": rates[name]}) if name in rates else recipe


def _is_whole(architecture: dict[str, Any]) -> bool:
    return bool(architecture["kept"] == architecture["sizes"])


def device_of(params: Params) -> str:
    """Return the device that jobs run on: `compute.device`, or for `auto` cuda where there is one, else cpu."""
    wanted = params.compute.device
    if wanted != "auto":
        return wanted
    if not any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")):
        return "cpu"  # known without the seconds that importing torch takes
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
