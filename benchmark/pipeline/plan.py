"""From params.yaml to jobs: what a suite's grid consists of, without computing any of it.

Nothing here imports torch: a pipeline stage whose jobs are all finished takes a fraction of a second. For that,
what only a method's class can tell is remembered in the store, under the hash of its code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

from benchmark.config.params import (
    CostKind,
    DatasetRef,
    Distil,
    Distillation,
    FineTuning,
    Granularity,
    Params,
    Recipe,
    SuiteConfig,
    TargetRef,
    WeightsMode,
    parse,
)
from benchmark.files import share
from benchmark.jobs.fingerprint import fingerprint
from benchmark.jobs.job import Job, JobResult, Spec
from benchmark.jobs.results import Found, Searched, Tuned
from benchmark.jobs.specs import (
    FeatureMeasure,
    FloorSpec,
    Form,
    PretrainSpec,
    SearchSpec,
    TargetSpec,
    TransferSpec,
    TuneSpec,
)
from benchmark.jobs.store import Store
from benchmark.pipeline.plan_cache import elsewhere, module_of, remembered
from benchmark.protocol import controls

R = TypeVar("R", bound=Recipe)
T = TypeVar("T")
# Rough durations relative to a pretraining; they only decide which jobs start first.
HINTS = {"pretrain": 1.0, "tune": 10.0, "search": 1.5, "rule": 0.1, "fresh": 1.5, "scratch": 0.6, "inherit": 0.6}


@dataclass(frozen=True)
class Digests:
    """Content hashes of a suite's prepared data, from its manifests."""

    source: str
    targets: Mapping[str, str]

    @classmethod
    def of(cls, manifests: Mapping[str, Any]) -> "Digests":
        """Take the hashes from `{"source": manifest, "targets": {label: manifest}}`; `ValueError` for anything else."""
        try:
            targets = {label: manifest["digest"] for label, manifest in manifests["targets"].items()}
            found = cls(manifests["source"]["digest"], targets)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not the manifests of a suite") from error
        if not all(isinstance(digest, str) for digest in (found.source, *targets.values())):
            raise ValueError("a digest is no text")
        return found


@dataclass(frozen=True)
class Method:
    """What is known of a method with some parameters: module, citation, non-default parameters, whether it trains."""

    module: str
    reference: str
    granularities: tuple[str, ...]
    params: dict[str, Any]
    trains: bool


@dataclass(frozen=True)
class Search:
    """A search job and its place in the grid, or in the control `control`."""

    job: Job[SearchSpec]
    name: str
    variant: str
    granularity: Granularity
    cost: CostKind
    seed: int
    method: Method
    control: str = ""


@dataclass(frozen=True)
class Transfer:
    """The transfer job of one architecture of a search in one weights mode.

    `found` is what the search returned. Several places of the grid may share a job. `control` is "" in the grid itself.
    """

    job: Job[TransferSpec]
    search: Search
    found: Searched
    architecture: Found
    weights: WeightsMode
    control: str = ""
    retraining: int = 0


@dataclass(frozen=True)
class Tuning:
    """The job that chooses the learning rates of one budget."""

    job: Job[TuneSpec]
    granularity: Granularity
    cost: CostKind
    budget: float


@dataclass(frozen=True)
class Plan:
    """The grid of one suite. `device` is "cpu" or "cuda"; `digests` are those of the prepared data."""

    params: Params
    suite: str
    digests: Digests
    store: Store
    device: str = "cpu"

    @cached_property
    def _made(self) -> dict[tuple[Any, ...], Any]:
        """What was made before, by what it is made of: to hash the specs of jobs is most of what a plan takes."""
        return {}

    @property
    def config(self) -> SuiteConfig:
        """The suite's section of params.yaml."""
        return self.params.suites[self.suite]

    @property
    def methods(self) -> list[str]:
        """The methods that run in this suite, in the order of params.yaml."""
        return self.params.methods_of(self.suite)

    def pretrain_jobs(self) -> list[Job[PretrainSpec]]:
        """Return the pretraining of the large model for every seed, then those of controls that have their own."""
        own = [control for control in self.config.transfer.controls if control in controls.PRETRAINED]
        return [self._pretrain_job(seed, control) for control in ("", *own) for seed in self.config.grid.seeds]

    def floor_jobs(self) -> list[Job[FloorSpec]]:
        """Return the measures of raw pixels, one job per seed; none where only fine-tuning is measured."""
        if self.config.transfer.measures == ["finetune"]:
            return []
        targets = [self._target(target, None) for target in self.config.data.targets]
        return [
            Job(FloorSpec(**self._source(seed), targets=targets), (), {}, self._label("floors", f"s{seed}"), 0.3)
            for seed in self.config.grid.seeds
        ]

    def tunings(self) -> list[Tuning]:
        """Return the choices of learning rates: one for the large model, one per place of the grid; or none."""
        if self.config.tuning is None:
            return []
        grid = self.config.grid
        places = [(grid.granularities[0], grid.costs[0], 1.0)]
        places += [
            (granularity, cost, budget)
            for cost in grid.costs
            for granularity in grid.granularities
            for budget in sorted(grid.budgets, reverse=True)
        ]
        return [Tuning(self._tune_job(*place), *place) for place in places]

    def tune_jobs(self) -> list[Job[TuneSpec]]:
        """Return the jobs of `tunings`."""
        return [tuning.job for tuning in self.tunings()]

    def search_jobs(self, method: str) -> list[Job[SearchSpec]]:
        """Return the jobs of `all_searches`."""
        return [search.job for search in self.all_searches(method)]

    def transfer_jobs(self, method: str, finished_only: bool = False) -> list[Job[TransferSpec]]:
        """Return the retrainings of a method's architectures, each job once."""
        jobs = [transfer.job for transfer in self.transfers(method, finished_only)]
        return list({job.key: job for job in jobs}.values())

    def all_searches(self, method: str) -> list[Search]:
        """Return the searches of a method, those of the grid first, then those of controls, each as in `searches`."""
        own = [control for control in self.config.transfer.controls if control in controls.SEARCHED]
        return [search for control in ("", *own) for search in self.searches(method, control)]

    def searches(self, method: str, control: str = "") -> list[Search]:
        """Return the searches of a method, in the grid or in an control.

        By cost, variant ("" first), granularity and seed, as in params.yaml.
        """
        return [
            self._once(place := (method, variant, granularity, cost, seed, control), partial(self._search, *place))
            for cost in self.config.grid.costs
            for variant, granularity in self._places(method)
            if not control or controls.concerns(control, method, variant, granularity)
            for seed in self.config.grid.seeds
        ]

    def _places(self, method: str) -> Iterator[tuple[str, Granularity]]:
        """The variants of a method in this suite ("" first), each with the granularities it serves."""
        if method in self.config.exclude:
            return
        variants = self.params.method(method).variants
        for variant in ("", *self.params.variants_of(self.suite, method)):
            served = self.method(method, variant).granularities
            wanted = variants[variant].granularities if variant else None
            for granularity in self.config.grid.granularities:
                if granularity in served and granularity in (wanted or [granularity]):
                    yield variant, granularity

    def transfers(
        self, method: str, finished_only: bool = False, searches: Sequence[Search] | None = None
    ) -> Iterator[Transfer]:
        """Yield the retrainings of everything that a method's searches found, in a fixed order.

        `searches` are all those of some variants and seeds, by default of all of them. They, and the choices of
        learning rates, must be in the store (`KeyError` otherwise); `finished_only` passes over what lacks them, or a
        teacher. The controls that have searches of their own come after the grid.
        """
        dense: dict[tuple[str, int], tuple[Search, JobResult, Found]] = {}
        for search in self.all_searches(method) if searches is None else searches:
            if finished_only and not self.store.has(search.job.key):
                continue
            result = self.store.get(search.job.key)
            found = result.read(Searched)
            for architecture in sorted(found.architectures, key=lambda entry: -entry.budget):
                origin = search, result, architecture
                if architecture.everything:
                    # With no unit removed, all granularities are the same network: the first one's job serves all.
                    origin = dense.setdefault((search.variant, search.seed), origin)
                try:
                    rates = self.rates(origin[0].granularity, origin[0].cost, origin[2].budget)
                except KeyError:
                    if finished_only:
                        continue
                    raise
                for control, weights in self._retrainings(search):
                    # Inherited weights are what they are.
                    count = 1 if weights == "inherit" else self.config.transfer.retrainings
                    for number in range(count):
                        # Variants that differ in their teacher only share a search.
                        place = (origin[0].name, origin[0].variant, origin[0].job.key, origin[2].file)
                        made_of = (*place, weights, *rates.items(), control, number)
                        make = partial(self._found_job, *origin, weights, rates, control, number)
                        job = self._once(made_of, make)
                        teacher = job.spec.teacher
                        if finished_only and teacher is not None and not self.store.has(teacher):
                            continue
                        yield Transfer(job, search, found, architecture, weights, control, number)

    def _retrainings(self, search: Search) -> list[tuple[str, WeightsMode]]:
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
        return self._once(("method", name, variant), lambda: self._looked_up(name, variant))

    def _looked_up(self, name: str, variant: str) -> Method:
        section, own = self.params.method(name), self.config.method(name)
        merged = section.params | (section.variants[variant].params if variant else {}) | own.params
        where = f"suites.{self.suite}.methods.{name}"

        def look() -> dict[str, Any]:
            from benchmark.pruning.registry import pruner

            pruner_class = pruner(name, "run.methods")
            given = parse(pruner_class.Parameters, merged, where)
            return {
                "module": pruner_class.__module__,
                "reference": pruner_class.reference,
                "granularities": list(pruner_class.granularities),
                "trains": pruner_class.trains,
                "params": given.model_dump(mode="json", exclude_defaults=True),
            }

        asked = {"method": name, "params": merged, "for": [field.name for field in fields(Method)]}
        answer = remembered(self.store, asked, look)
        granularities = tuple(answer["granularities"])
        return Method(answer["module"], answer["reference"], granularities, answer["params"], answer["trains"])

    @cached_property
    def model_module(self) -> str:
        """The module that defines the suite's large model."""
        return module_of(self.config.model, self.store)

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """What keys say of a large model that is a library's, or pretrained elsewhere."""
        return elsewhere(self.config.model, self.store, f"suites.{self.suite}.model")

    def code(self) -> dict[str, str]:
        """Return the code fingerprint of every kind of job: pretrain, ..., search-METHOD, also of methods left out."""
        roots: dict[str, tuple[type[Spec], tuple[str, ...]]] = {
            "pretrain": (PretrainSpec, ()),
            "tune": (TuneSpec, ()),
            "floors": (FloorSpec, ()),
            "transfer": (TransferSpec, ()),
        }
        roots |= {f"search-{name}": (SearchSpec, (self.method(name).module,)) for name in self.params.run.methods}
        return {
            name: fingerprint((spec.module, *modules, self.model_module)) for name, (spec, modules) in roots.items()
        }

    def _once(self, made_of: tuple[Any, ...], make: Callable[[], T]) -> T:
        if made_of not in self._made:
            self._made[made_of] = make()
        made: T = self._made[made_of]
        return made

    def _source(self, seed: int) -> dict[str, Any]:
        """What the specs of all jobs of a seed have in common: the fields of `SourceSpec`."""
        config = self.config
        return {
            "source": config.data.source,
            "source_digest": self.digests.source,
            "split": config.data.split,
            "model": config.model.untrained(),
            "training": config.training,
            "seed": seed,
            "device": self.device,
            # Another number of threads sums in another order.
            "threads": self.params.compute.threads,
            **self.elsewhere,
        }

    def _label(self, kind: str, *parts: str) -> str:
        return " ".join(filter(None, (self.suite, kind, *parts)))

    def _pretrain_job(self, seed: int, control: str = "") -> Job[PretrainSpec]:
        sanity: Any = control if control in controls.PRETRAINED else None
        return self._once(("pretrain", seed, sanity), lambda: self._new_pretrain_job(seed, sanity))

    def _new_pretrain_job(self, seed: int, sanity: Any) -> Job[PretrainSpec]:
        spec = PretrainSpec(**self._source(seed), sanity=sanity)
        file = self.config.model.file
        # The content of the file is in the key, its place is not.
        inputs = {} if file is None else {"weights": str(Path(file).expanduser().absolute())}
        label = self._label("pretrain", f"s{seed}", sanity or "")
        return Job(spec, (self.model_module,), inputs, label, HINTS["pretrain"])

    def _tune_job(self, granularity: Granularity, cost: CostKind, budget: float) -> Job[TuneSpec]:
        tuning, transfer = self.config.tuning, self.config.transfer
        assert tuning is not None
        spec = TuneSpec(
            **self._source(tuning.seeds[0]),
            cost=cost,
            granularity=granularity,
            budget=budget,
            factors=sorted(tuning.factors),
            architectures=tuning.architectures,
            shots=sorted(transfer.shots),
            draws=transfer.draws,
            finetune=transfer.finetune,
            scratch=transfer.scratch if "scratch" in transfer.weights and transfer.finetune is not None else None,
            seeds=list(tuning.seeds),
            extensions=tuning.extensions,
        )
        # The more is kept, the longer it takes; and the large model is one architecture, not several.
        hint = HINTS["tune"] * (budget if granularity == "channel" else 1.0)
        return Job(spec, (self.model_module,), {}, self._label("tune", granularity, f"b{share(budget)}"), hint)

    def rates(self, granularity: Granularity, cost: CostKind, budget: float) -> dict[str, float]:
        """Return the learning rates chosen for a budget, by recipe; `KeyError` when they are not in the store yet."""
        if self.config.tuning is None:
            return {}
        if budget == 1:
            granularity, cost = self.config.grid.granularities[0], self.config.grid.costs[0]
        tuned = self.store.get(self._tune_job(granularity, cost, budget).key).read(Tuned)
        return {kind: choice.lr for kind, choice in tuned.rates.items()}

    def _search(
        self, name: str, variant: str, granularity: Granularity, cost: CostKind, seed: int, control: str
    ) -> Search:
        method, sanity = self.method(name, variant), cast(Any, control or None)
        spec = SearchSpec(
            **self._source(seed),
            cost=cost,
            granularity=granularity,
            budgets=sorted(self.config.grid.budgets, reverse=True),
            method=name,
            params=method.params,
            pretrain=self._pretrain_job(seed, control).key,
            sanity=sanity,
        )
        # One cost needs no name.
        costs = cost if len(self.config.grid.costs) > 1 else ""
        label = self._label("search", name, variant, granularity, costs, f"s{seed}", control)
        job = Job(spec, (method.module, self.model_module), {}, label, HINTS["search" if method.trains else "rule"])
        return Search(job, name, variant, granularity, cost, seed, method, control)

    def _target(self, target: TargetRef, recipe: FineTuning | None) -> TargetSpec:
        """A target as a transfer job has it: the set, the few-shot tasks on it, and the recipe."""
        own = {name: value for name in ("steps", "batch") if (value := getattr(target, name)) is not None}
        transfer = self.config.transfer
        shots = self.config.shots(target)
        chosen = transfer.finetune_shots
        nearest, probe = transfer.nearest, transfer.probe
        return TargetSpec(
            label=target.label,
            ref=DatasetRef(**target.model_dump(include=set(DatasetRef.model_fields))),
            digest=self.digests.targets[target.label],
            pool=self.config.pool(target),
            shots=shots,
            draws=0 if recipe is None else self.config.draws(target),
            recipe=None if recipe is None else recipe.model_copy(update=own),
            finetune_shots=None if recipe is None or chosen is None else [k for k in shots if k in chosen],
            nearest=None if nearest is None else FeatureMeasure(episodes=nearest.episodes),
            probe=None if probe is None else FeatureMeasure(episodes=probe.episodes, strength=probe.strength),
            test=target.test,
            ways=target.ways,
            top5=transfer.top5,
        )

    def _found_job(
        self,
        search: Search,
        result: JobResult,
        architecture: Found,
        weights: WeightsMode,
        rates: Mapping[str, float],
        control: str,
        number: int,
    ) -> Job[TransferSpec]:
        """The retraining number `number` of an architecture that a search found."""
        inputs, state = {"search": search.job.key, "architecture": architecture.file}, None
        if weights == "inherit":
            inputs["state"], state = architecture.state_file, result.digests[architecture.state_file]
        own = "" if search.control else control  # a control's search has its name already
        parts = (search.job.label.removeprefix(f"{self.suite} search "), f"b{share(architecture.budget)}")
        label = self._label("transfer", *parts, weights, own, f"n{number}" if number else "")
        place = search.granularity, search.seed
        distil = self.params.distil_of(self.suite, search.name, search.variant)
        return self.transfer_job(*place, architecture, weights, rates, inputs, label, state, control, number, distil)

    def transfer_job(
        self,
        granularity: Granularity,
        seed: int,
        architecture: Found,
        weights: WeightsMode,
        rates: Mapping[str, float],
        inputs: dict[str, str],
        label: str,
        state: str | None = None,
        control: str = "",
        retraining: int = 0,
        distil: Distil = "none",
    ) -> Job[TransferSpec]:
        """Return the retraining of an architecture at the chosen learning `rates` (by recipe).

        `inputs` say where the architecture and, for `inherit`, the weights of digest `state` lie. With `distil` the
        source training, of `fresh` networks, has the pretrained large model of the seed as its teacher.
        """
        transfer, training = self.config.transfer, self.config.training
        own = transfer.scratch if weights == "scratch" else transfer.finetune
        recipe = None
        if transfer.finetune is not None and own is not None:
            recipe = _at(FineTuning(**own.model_dump()), weights, rates)
        if weights == "fresh":
            training = _at(training, "training", rates)
        if control == "twice":
            training = training.model_copy(update={"steps": 2 * training.steps})
        spec = TransferSpec(
            **(self._source(seed) | {"training": training}),
            targets=[self._target(target, recipe) for target in self.config.data.targets],
            weights=weights,
            granularity=granularity,
            form=_form(architecture, granularity, weights, control),
            flops_cap=transfer.flops_cap if control == "flops" else None,
            state=state,
            retraining=retraining,
            **(self._teaching(seed, distil) if weights == "fresh" and distil != "none" else {}),
        )
        return Job(spec, (self.model_module,), inputs, label, HINTS[weights])

    def _teaching(self, seed: int, distil: Distil) -> dict[str, Any]:
        """The fields of a `TransferSpec` that say who teaches, and how much it counts.

        Also in the control `labels` the teacher has seen the true labels: retraining does.
        """
        said: Distillation = self.config.transfer.distillation
        settings = said if distil == "structured" else said.model_copy(update={"structure": 0.0})
        return {"teacher": self._pretrain_job(seed).key, "distillation": settings}


def _form(architecture: Found, granularity: str, weights: str, control: str) -> Form:
    if architecture.everything:
        return Form(dense=True)
    if control == "shuffled" and granularity == "weight":
        # Which units are kept is drawn from the seed, so their numbers say all. Of channels they do so anyway.
        return Form(shuffled=architecture.kept)
    if granularity == "channel" and weights != "inherit":
        # Channels of a layer are exchangeable once their weights are drawn anew: equal widths, one job.
        return Form(kept=architecture.kept)
    return Form(architecture=architecture.digest)


def _at(recipe: R, kind: str, rates: Mapping[str, float]) -> R:
    """The recipe at its chosen rate; both `fresh` and `inherit` weights are fine-tuned."""
    name = kind if kind in ("training", "scratch") else "finetune"
    return recipe.model_copy(update={"lr": rates[name]}) if name in rates else recipe


def device_of(params: Params) -> str:
    """Return the device that jobs run on: `compute.device`, or for `auto` cuda where there is one, else cpu."""
    wanted = params.compute.device
    if wanted != "auto":
        return wanted
    if not any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")):
        return "cpu"  # known without the seconds that importing torch takes
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
