"""From params.yaml to cells: what a suite's grid consists of, without computing any of it.

Nothing here imports torch: a pipeline stage whose cells are all finished takes a fraction of a second. For that,
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
from benchmark.jobs.store import Cell, CellResult, Kind, Store
from benchmark.pipeline.plan_cache import elsewhere, module_of, remembered
from benchmark.protocol import controls

# Rough durations relative to a pretraining; they only decide which cells start first.
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
    """A search cell and its place in the grid, or in the arm `arm`."""

    cell: Cell
    name: str
    variant: str
    granularity: str
    seed: int
    method: Method
    arm: str = ""


@dataclass(frozen=True)
class Transfer:
    """The transfer cell of one architecture (an entry of the search's values) in one weights mode.

    Several places of the grid may share a cell. `arm` is "" in the grid itself.
    """

    cell: Cell
    search: Search
    found: CellResult
    architecture: dict[str, Any]
    weights: str
    arm: str = ""


@dataclass(frozen=True)
class Tuning:
    """The cell that chooses the learning rates of one budget."""

    cell: Cell
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

    def pretrain_cells(self) -> list[Cell]:
        """Return the pretraining of the large model for every seed, after them those of arms that have their own."""
        own = [arm for arm in self.config.transfer.arms if arm in controls.PRETRAINED]
        return [self._pretrain_cell(seed, arm) for arm in ("", *own) for seed in self.config.grid.seeds]

    def tunings(self) -> list[Tuning]:
        """Return the choices of learning rates: one for the large model, one per granularity and budget; or none."""
        if self.config.tuning is None:
            return []
        grid = self.config.grid
        places = [(grid.granularities[0], 1.0)]
        places += [(g, budget) for g in grid.granularities for budget in sorted(grid.budgets, reverse=True)]
        return [Tuning(self._tune_cell(*place), *place) for place in places]

    def tune_cells(self) -> list[Cell]:
        """Return the cells of `tunings`."""
        return [tuning.cell for tuning in self.tunings()]

    def search_cells(self, method: str) -> list[Cell]:
        """Return the searches of a method, those of the grid first, in the order of `searches`."""
        return [search.cell for search in self._all_searches(method)]

    def transfer_cells(self, method: str, finished_only: bool = False) -> list[Cell]:
        """Return the retrainings of a method's architectures, each cell once."""
        cells = [transfer.cell for transfer in self.transfers(method, finished_only)]
        return list({cell.key: cell for cell in cells}.values())

    def _all_searches(self, method: str) -> list[Search]:
        own = [arm for arm in self.config.transfer.arms if arm in controls.SEARCHED]
        return [search for arm in ("", *own) for search in self.searches(method, arm)]

    def searches(self, method: str, arm: str = "") -> list[Search]:
        """Return the searches of a method, in the grid or in an arm.

        By variant ("" first), granularity and seed, as in params.yaml.
        """
        variants = self.params.methods[method].variants
        found = []
        chosen = self.config.methods[method].variants
        for variant in ("", *(variants if chosen is None else chosen)):
            info = self.method(method, variant)
            wanted = variants[variant].granularities if variant else None
            for granularity in self.config.grid.granularities:
                if arm and not controls.concerns(arm, method, variant, granularity):
                    continue
                if granularity in info.granularities and granularity in (wanted or [granularity]):
                    found += [
                        self._search(method, info, variant, granularity, seed, arm) for seed in self.config.grid.seeds
                    ]
        return found

    def transfers(self, method: str, finished_only: bool = False) -> Iterator[Transfer]:
        """Yield the retrainings of everything that a method's searches found, in a fixed order.

        The searches, and the choices of learning rates, must be in the store (`KeyError` otherwise); `finished_only`
        passes over what lacks them. The arms that have searches of their own come after the grid.
        """
        whole: dict[tuple[str, int], tuple[Search, CellResult, dict[str, Any]]] = {}
        for search in self._all_searches(method):
            if finished_only and not self.store.has(search.cell.key):
                continue
            found = self.store.get(search.cell.key)
            for architecture in sorted(found.values["architectures"], key=lambda entry: -entry["budget"]):
                origin = search, found, architecture
                if _is_whole(architecture):
                    # With no unit removed, all granularities are the same network: the first one's cell serves all.
                    origin = whole.setdefault((search.variant, search.seed), origin)
                try:
                    rates = self._rates(origin[0].granularity, origin[2]["budget"])
                except KeyError:
                    if finished_only:
                        continue
                    raise
                for arm, weights in self._retrainings(search):
                    cell = self._transfer_cell(*origin, weights, rates, arm)
                    yield Transfer(cell, search, found, architecture, weights, arm)

    def _retrainings(self, search: Search) -> list[tuple[str, str]]:
        """The arms ("": the grid) and weights modes in which what a search found is retrained."""
        if search.arm:
            return [(search.arm, controls.WEIGHTS)]
        transfer, place = self.config.transfer, (search.name, search.variant, search.granularity)
        return [
            *(("", weights) for weights in transfer.weights),
            *(
                (arm, controls.WEIGHTS)
                for arm in transfer.arms
                if arm not in controls.SEARCHED and controls.concerns(arm, *place)
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
        """Return the code fingerprint of every kind of cell in this suite: pretrain, transfer, search-METHOD."""
        roots: dict[str, tuple[str, ...]] = {"pretrain": (), "tune": (), "transfer": ()}
        roots |= {f"search-{name}": (self.method(name).module,) for name in self.methods}
        return {
            name: fingerprint((f"{Cell.package}.{name.partition('-')[0]}", *modules, self.model_module))
            for name, modules in roots.items()
        }

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

    def _cell(self, kind: Kind, spec: dict[str, Any], label: str, hint: float, **more: Any) -> Cell:
        modules = (*more.pop("modules", ()), self.model_module)
        return Cell(kind, spec, modules, label=f"{self.suite} {kind} {label}", hint=hint, **more)

    def _pretrain_cell(self, seed: int, arm: str = "") -> Cell:
        own = {"sanity": arm} if arm in controls.PRETRAINED else {}
        file = self.config.model.file
        # The content of the file is in the key, its place is not.
        inputs = {} if file is None else {"weights": str(Path(file).expanduser().absolute())}
        label = " ".join(filter(None, (f"s{seed}", *own.values())))
        return self._cell("pretrain", self._source(seed) | own, label, HINTS["pretrain"], inputs=inputs)

    def _tune_cell(self, granularity: str, budget: float) -> Cell:
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
        return self._cell("tune", spec, f"{granularity} b{share(budget)}", hint)

    def _rates(self, granularity: str, budget: float) -> dict[str, float]:
        """The learning rates chosen for a budget, by recipe; `KeyError` when they are not in the store yet."""
        if self.config.tuning is None:
            return {}
        if budget == 1:
            granularity = self.config.grid.granularities[0]
        rates = self.store.get(self._tune_cell(granularity, budget).key).values["rates"]
        return {kind: entry["lr"] for kind, entry in rates.items()}

    def _search(self, name: str, method: Method, variant: str, granularity: str, seed: int, arm: str) -> Search:
        grid = self.config.grid
        spec = self._source(seed) | {
            "cost": grid.cost,
            "granularity": granularity,
            "budgets": sorted(grid.budgets, reverse=True),
            "method": name,
            "params": method.params,
            "pretrain": self._pretrain_cell(seed, arm).key,
        }
        if arm:
            spec["sanity"] = arm
        label = " ".join(filter(None, (name, variant, granularity, f"s{seed}", arm)))
        cell = self._cell("search", spec, label, HINTS["search"], modules=(method.module,))
        return Search(cell, name, variant, granularity, seed, method, arm)

    def _target(self, target: TargetRef, recipe: Recipe) -> dict[str, Any]:
        """A target as a transfer cell's spec has it: the set, the few-shot tasks on it, and the recipe."""
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

    def _transfer_cell(
        self,
        search: Search,
        found: CellResult,
        architecture: dict[str, Any],
        weights: str,
        rates: Mapping[str, float],
        arm: str,
    ) -> Cell:
        transfer = self.config.transfer
        form: dict[str, Any]
        if _is_whole(architecture):
            form = {"dense": True}
        elif arm == "shuffled" and search.granularity == "weight":
            # Which units are kept is drawn from the seed, so their numbers say all. Of channels they do so anyway.
            form = {"shuffled": architecture["kept"]}
        elif search.granularity == "channel" and weights != "inherit":
            # Channels of a layer are exchangeable once their weights are drawn anew: equal widths, one cell.
            form = {"kept": architecture["kept"]}
        else:
            form = {"architecture": architecture["digest"]}
        recipe = _at(transfer.scratch if weights == "scratch" else transfer.finetune, weights, rates)
        training = self.config.training
        if weights == "fresh":
            training = _at(training, "training", rates)
        if arm == "twice":
            training = training.model_copy(update={"steps": 2 * training.steps})
        spec = self._source(search.seed) | {
            "targets": [self._target(target, recipe) for target in self.config.data.targets],
            "training": options(training),
            "weights": weights,
            "granularity": search.granularity,
            "form": form,
        }
        if arm == "flops":
            spec["flops_cap"] = transfer.flops_cap
        inputs = {"search": search.cell.key, "architecture": architecture["file"]}
        if weights == "inherit":
            spec["state"] = found.digests[architecture["state_file"]]
            inputs["state"] = architecture["state_file"]
        place = search.cell.label.removeprefix(f"{self.suite} search ")
        own = "" if search.arm else arm  # an arm's search has its name already
        label = " ".join(filter(None, (place, f"b{share(architecture['budget'])}", weights, own)))
        return self._cell("transfer", spec, label, HINTS[weights], inputs=inputs)


def _at(recipe: Recipe, kind: str, rates: Mapping[str, float]) -> Recipe:
    """The recipe at its chosen rate; both `fresh` and `inherit` weights are fine-tuned."""
    name = kind if kind in ("training", "scratch") else "finetune"
    return recipe.model_copy(update={"lr": rates[name]}) if name in rates else recipe


def _is_whole(architecture: dict[str, Any]) -> bool:
    return bool(architecture["kept"] == architecture["sizes"])


def device_of(params: Params) -> str:
    """Return the device that cells run on: `compute.device`, or for `auto` cuda where there is one, else cpu."""
    wanted = params.compute.device
    if wanted != "auto":
        return wanted
    if not any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")):
        return "cpu"  # known without the seconds that importing torch takes
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
