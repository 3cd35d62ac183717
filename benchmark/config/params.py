"""params.yaml as typed values: the one place where an experiment is described.

Everything structural is checked here, before anything is trained; names that live in
registries (methods, data sets, models) and method parameters are checked by `benchmark.pipeline.validate`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.config.messages import first_message
from benchmark.config.yaml_file import read_yaml
from benchmark.errors import BenchError, unknown

Granularity = Literal["channel", "weight", "block", "block+channel"]
WeightsMode = Literal["fresh", "scratch", "inherit"]
CostKind = Literal["params", "macs", "memory"]
Measure = Literal["nearest", "probe", "finetune"]
Control = Literal["twice", "shuffled", "inverted", "labels", "flops"]
Distil = Literal["none", "logits", "structured"]
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def _distinct(values: list[T]) -> list[T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} is given twice; every value may be given once")
    return values


def _once_each(classes: list[int | list[int]]) -> list[int | list[int]]:
    _distinct([label for item in classes for label in (item if isinstance(item, list) else [item])])
    return classes


def _budget(value: float) -> float:
    if not 0 < value < 1:
        shown = "NaN" if math.isnan(value) else f"{value:g}"
        raise ValueError(
            f"a budget is a share of the large model's cost between 0 and 1, such as 0.05 for 5 %, not {shown}"
        )
    return value


Distinct = Annotated[list[T], Field(min_length=1), AfterValidator(_distinct)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Budget = Annotated[float, AfterValidator(_budget)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Section(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetRef(Section):
    """A labelled image set, or the part of one that a task uses.

    `classes` keeps these original labels, in this order, as 0, 1, ...; a list among them merges its labels into one
    class. `channels` and `size` convert the images (None: as they are). `background` is what shows through transparent
    images (None: white).
    """

    name: str
    classes: Annotated[list[int | Annotated[list[int], Field(min_length=1)]], AfterValidator(_once_each)] | None = None
    channels: Literal["grey", "rgb"] | None = None
    size: Annotated[int, Field(ge=1, le=2048)] | None = None
    background: Literal["white", "black"] | None = None


class TargetRef(DatasetRef):
    """A target task; `label` names it in rows, tables and figures.

    `shots`, `draws` and `pool` replace the suite's own, `steps` and `batch` those of its few-shot recipes. `test` is
    the most test images per class (None: all that the pool leaves). With `ways`, every draw is a task of its own: that
    many classes drawn among those that share the part of their name before the slash (all, where names have none).
    """

    label: Name
    shots: Distinct[Count] | None = None
    draws: Count | None = None
    pool: Count | None = None
    steps: Count | None = None
    batch: Count | None = None
    test: Count | None = None
    ways: Annotated[int, Field(ge=2)] | None = None


class Split(Section):
    """Shares of the source set, stratified by class; the rest is test."""

    train: Fraction = 0.6
    validation: Fraction = 0.2

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> Self:
        if self.train + self.validation >= 1 - 1e-9:
            raise ValueError("train + validation must stay below 1, the rest is the test part")
        return self


class DataSection(Section):
    """What is learnt from and transferred to.

    `pool` is the number of target images per class from which the k-shot sets are drawn; all others are test.
    """

    source: DatasetRef
    targets: Annotated[list[TargetRef], Field(min_length=1)]
    split: Split = Split()
    pool: Count = 20


class ModelRef(Section):
    """The large model: `own:NAME`, `torchvision:NAME`, `timm:NAME`, or `python:package.module:factory`.

    `width` is the factor on every layer's usual width (own: models only), `options` are further keyword arguments of
    the library's constructor. `pretrained` takes the weights that torchvision or timm publish, `file` those of a local
    file (.safetensors, or a state dict); a relative path counts from the folder where the command runs.
    """

    name: str
    width: Positive = 1.0
    pretrained: bool = False
    file: str | None = None
    options: dict[str, bool | int | float | str] = {}

    @property
    def library(self) -> str:
        """Where the model comes from: own, torchvision, timm or python."""
        return self.name.partition(":")[0]

    @property
    def trained(self) -> bool:
        """Whether its weights come from elsewhere."""
        return self.pretrained or self.file is not None

    def untrained(self) -> "ModelRef":
        """Return the same network without weights from elsewhere."""
        return self.model_copy(update={"pretrained": False, "file": None})


class Recipe(Section):
    """How weights are trained, the same for every method.

    SGD with Nesterov momentum, linear warm-up, then cosine decay to zero; `steps` batches of `batch`
    images each; `shift` is the largest random translation in pixels, `flip` mirrors every other image; gradients
    longer than `clip` are shortened to it. `norm_momentum` is how fast batch norm's running statistics follow the
    batches: short trainings need it high. `precision` is that of the forward and backward pass.
    """

    steps: Count
    batch: Count
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NonNegative = 5e-4
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    shift: Annotated[int, Field(ge=0)] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: Positive = 5.0
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    flip: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"


class FineTuning(Recipe):
    """A recipe for a target: `trained` is the whole network, or its new head only (a linear probe)."""

    trained: Literal["all", "head"] = "all"


class GridSection(Section):
    """The axes of the comparison. Budgets are shares of the large model's cost, of each kind of `costs`."""

    granularities: Distinct[Granularity]
    costs: Distinct[CostKind] = ["params"]
    budgets: Distinct[Budget]
    seeds: Distinct[Seed]


class NearestSection(Section):
    """The measure `nearest`, the nearest class mean of frozen features, on `episodes` episodes per number of shots."""

    episodes: Count = 100


class ProbeSection(Section):
    """The measure `probe`, logistic regression on frozen features, on `episodes` episodes per number of shots.

    `strength` is the weight of the squared norm in the objective: see `benchmark.protocol.probe`.
    """

    episodes: Count = 20
    strength: Positive = 0.01


class Distillation(Section):
    """How much a teacher counts in the source training of a smaller network: see `benchmark.training.distillation`.

    `weight` is the share of the teacher's softened logits in the loss, `temperature` softens them, `structure` is the
    weight of the relations that `distil: structured` adds.
    """

    temperature: Positive = 4.0
    weight: Annotated[float, Field(ge=0, le=1)] = 0.9
    structure: NonNegative = 0.5


class TransferSection(Section):
    """The few-shot protocol: which measures are taken, and for `finetune` the recipe and `draws` episodes per seed.

    The numbers of shots are those of all measures, or `finetune_shots` for `finetune`. `headline` names the measure of
    the first table (default: the last of those taken). `top5` counts a class among the five first, too, for tasks of
    many classes. `retrainings` sub-networks are drawn for every architecture and
    seed whose weights are new.

    `distil` gives every source training of `fresh` networks a teacher, the pretrained large model of the same seed;
    `distillation` says how much it counts. Few-shot training never has one. Both are dumped only where they are set.

    `controls` are beside the grid: see `benchmark.protocol.controls`. In the control `flops` a source training is at
    most `flops_cap` times as long as in the grid.
    """

    weights: Distinct[WeightsMode]
    shots: Distinct[Count]
    nearest: NearestSection | None = None
    probe: ProbeSection | None = None
    finetune: FineTuning | None = None
    finetune_shots: Distinct[Count] | None = None
    draws: Count = 10
    scratch: Recipe | None = None
    headline: Measure | None = None
    retrainings: Count = 1
    top5: bool = Field(default=False, exclude_if=lambda asked: not asked)
    controls: Annotated[list[Control], AfterValidator(_distinct)] = []
    flops_cap: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 4.0
    distil: Distil = Field(default="none", exclude_if=lambda kind: kind == "none")
    distillation: Distillation = Field(default=Distillation(), exclude_if=lambda section: section == Distillation())

    @property
    def measures(self) -> list[Measure]:
        """The measures that are taken."""
        every: list[tuple[Measure, object]] = [
            ("nearest", self.nearest),
            ("probe", self.probe),
            ("finetune", self.finetune),
        ]
        return [name for name, section in every if section is not None]

    @property
    def first_measure(self) -> Measure:
        """The measure of the headline."""
        return self.headline or self.measures[-1]

    @model_validator(mode="after")
    def _measures_are_described(self) -> Self:
        if not self.measures:
            raise ValueError("nothing is measured; add nearest, probe or finetune")
        if self.headline is not None and self.headline not in self.measures:
            raise ValueError(f"headline: {self.headline} is not measured; add the section {self.headline}")
        if "scratch" in self.weights and self.finetune is not None and self.scratch is None:
            raise ValueError("scratch: fine-tuning from scratch needs a recipe of its own; add the section scratch")
        return self

    @model_validator(mode="after")
    def _controls_have_their_grid(self) -> Self:
        if set(self.controls) - {"twice"} and "fresh" not in self.weights:
            raise ValueError("controls: they are compared with the weights mode 'fresh'; add it to weights")
        return self

    @model_validator(mode="after")
    def _teachers_have_pupils(self) -> Self:
        if self.distil != "none" and "fresh" not in self.weights:
            raise ValueError("distil: only the weights mode 'fresh' trains on the source; add it to weights")
        return self


class TuningSection(Section):
    """Learning rates chosen for every budget, on the source only and for all methods alike.

    Candidates are the recipes' own rates times `factors`; each is tried on `architectures` random ones that no method
    proposed, with the source split and initial weights of each of `seeds`. While the best rate is at the edge of those
    tried, one more is tried beyond it, at most `extensions` times.
    """

    factors: Distinct[Positive] = [0.25, 0.5, 1.0, 2.0, 4.0]
    architectures: Count = 3
    seeds: Distinct[Seed] = [0, 1]
    extensions: Annotated[int, Field(ge=0)] = 4


class SuiteMethod(Section):
    """What a method does otherwise in one suite: its `params`, and which of its `variants` run (None: all)."""

    params: dict[str, Any] = {}
    variants: Annotated[list[Name], AfterValidator(_distinct)] | None = None


class Endpoint(Section):
    """A primary endpoint: one difference that is written down before the first row of a suite exists.

    `contrast` is two methods, the first minus the second, a variant as "flat+last". Accuracies are averaged over
    `targets` ("mean": all that have the shots, or their labels), `shots` and `budgets`, every combination counting the
    same. So an endpoint is one number per seed and one test; what is to be tested apart is an endpoint of its own.
    `granularity` None is the suite's first.
    """

    contrast: Annotated[list[str], Field(min_length=2, max_length=2), AfterValidator(_distinct)]
    targets: Literal["mean"] | Distinct[Name] = "mean"
    shots: Distinct[Count]
    budgets: Distinct[Budget]
    measure: Measure
    cost: CostKind
    granularity: Granularity | None = None
    weights: WeightsMode = "fresh"


class SuiteConfig(Section):
    """A named experiment of all methods of `run.methods` but those it lists in `exclude`.

    `methods` says what some of them do otherwise here. `tuning` None leaves the recipes their own learning rates.
    `primary` are the endpoints that are tested; every other comparison of the suite is exploratory.
    """

    title: str
    data: DataSection
    model: ModelRef
    grid: GridSection
    training: Recipe
    transfer: TransferSection
    tuning: TuningSection | None = None
    methods: dict[Name, SuiteMethod] = {}
    exclude: Annotated[list[Name], AfterValidator(_distinct)] = []
    primary: Annotated[list[Endpoint], AfterValidator(_distinct)] = []

    def method(self, name: str) -> SuiteMethod:
        """Return what a method does otherwise in this suite."""
        return self.methods.get(name, SuiteMethod())

    def shots(self, target: TargetRef) -> list[int]:
        """Return the numbers of shots on a target, rising."""
        return sorted(target.shots or self.transfer.shots)

    def draws(self, target: TargetRef) -> int:
        """Return the draws per number of shots on a target."""
        return target.draws or self.transfer.draws

    def pool(self, target: TargetRef) -> int:
        """Return the images per class from which a target's shots are drawn."""
        return target.pool or self.data.pool

    @model_validator(mode="after")
    def _endpoints_are_measured(self) -> Self:
        for place, endpoint in enumerate(self.primary):
            own = {target.label: self.shots(target) for target in self.data.targets}
            named = list(own) if endpoint.targets == "mean" else endpoint.targets
            asked: dict[str, tuple[Sequence[object], Sequence[object]]] = {
                "targets": (named, list(own)),
                "shots": (endpoint.shots, sorted({shots for label in named for shots in own.get(label, [])})),
                "budgets": (endpoint.budgets, self.grid.budgets),
                "measure": ([endpoint.measure], self.transfer.measures),
                "cost": ([endpoint.cost], self.grid.costs),
                "weights": ([endpoint.weights], self.transfer.weights),
                "granularity": ([endpoint.granularity] if endpoint.granularity else [], self.grid.granularities),
            }
            for name, (wanted, there) in asked.items():
                if lacking := [value for value in wanted if value not in there]:
                    raise ValueError(
                        f"primary.{place}.{name}: {lacking[0]} is not in this suite, which has "
                        f"{', '.join(map(str, there))}; add it to the suite or take it out of the endpoint"
                    )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for target in self.data.targets:
            most, pool = max(self.shots(target)), self.pool(target)
            if most > pool:
                raise ValueError(
                    f"transfer.shots: {most} shots, but the pool of {target.label} holds {pool} images per class; "
                    "raise data.pool (or the target's) or lower the shots"
                )
        labels = [target.label for target in self.data.targets]
        if len(set(labels)) < len(labels):
            raise ValueError("data.targets: two targets share a label; give each its own")
        return self


class Variant(Section):
    """A named set of non-default parameters of a method, at all or some granularities.

    `distil` says how its architectures are retrained on the source (None: as the suite says); it changes no search, and
    is dumped only where it is set. `study` names the question that it answers together with the other variants of that
    study: see `benchmark.config.ablations`.
    """

    params: dict[str, Any] = {}
    granularities: Distinct[Granularity] | None = None
    study: Name | None = None
    distil: Distil | None = Field(default=None, exclude_if=lambda kind: kind is None)

    @property
    def changes(self) -> dict[str, Any]:
        """What the variant does otherwise than the default: its parameters, and `distil` where it says so."""
        return self.params if self.distil is None else self.params | {"distil": self.distil}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set & {"params", "distil"}:
            raise ValueError("a variant changes something; add params or distil")
        return self


class MethodConfig(Section):
    """A method's parameters (defaults come from its class) and its variants."""

    params: dict[str, Any] = {}
    variants: dict[Name, Variant] = {}


class RunSection(Section):
    """Which suites and methods the pipeline runs; the README shows `headline`, by default the first of the suites."""

    suites: Distinct[Name]
    methods: Distinct[Name]
    headline: Name | None = None


class ComputeSection(Section):
    """Where jobs run. The number of `workers` changes no result; another device, or other `threads`, rounds otherwise.

    `threads` is per worker, so that a result does not depend on the number of workers. With `auto` there is one worker
    per core, on CUDA `slots` per GPU. `deterministic` concerns CUDA only: kernels that give the same result at every
    call.
    """

    workers: Count | Literal["auto"] = "auto"
    threads: Count = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    slots: Count = 4
    deterministic: bool = True


class SourcesSection(Section):
    """Where data sets are looked for before their official place: folders or addresses."""

    mirrors: list[str] = []


class Params(Section):
    """The whole of params.yaml."""

    run: RunSection
    compute: ComputeSection = ComputeSection()
    data: SourcesSection = SourcesSection()
    methods: dict[Name, MethodConfig] = {}
    suites: dict[Name, SuiteConfig]

    def methods_of(self, suite: str) -> list[str]:
        """Return the methods that run in a suite, in the order of `run.methods`."""
        return [name for name in self.run.methods if name not in self.suites[suite].exclude]

    def method(self, name: str) -> MethodConfig:
        """Return the parameters and variants of a method; one that is not described has its class's own."""
        return self.methods.get(name, MethodConfig())

    def variants_of(self, suite: str, name: str) -> list[str]:
        """Return the variants of a method that run in a suite, beside its default."""
        chosen = self.suites[suite].method(name).variants
        return list(self.method(name).variants) if chosen is None else chosen

    def distil_of(self, suite: str, name: str, variant: str = "") -> Distil:
        """Return how a variant of a method is retrained on the source in a suite: its own `distil`, else the suite's.

        A variant that is not described is retrained as the suite says.
        """
        described = self.method(name).variants.get(variant)
        own = None if described is None else described.distil
        return self.suites[suite].transfer.distil if own is None else own

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name in self.run.suites:
            if name not in self.suites:
                raise ValueError(str(unknown("suite", name, self.suites, "run.suites")))
        if self.run.headline is not None and self.run.headline not in self.run.suites:
            raise ValueError(str(unknown("suite", self.run.headline, self.run.suites, "run.headline")))
        for suite in self.run.suites:
            if not self.methods_of(suite):
                raise ValueError(f"suites.{suite}.exclude: no method of run.methods is left; take one out of it")
        return self

    @model_validator(mode="after")
    def _endpoints_name_methods(self) -> Self:
        # Those of other suites may name methods that do not run now: run.methods is what a user shortens.
        for suite in self.run.suites:
            for place, endpoint in enumerate(self.suites[suite].primary):
                for side in endpoint.contrast:
                    method, _, variant = side.partition("+")
                    where = f"suites.{suite}.primary.{place}.contrast"
                    if method not in self.methods_of(suite):
                        raise ValueError(str(unknown("method", method, self.methods_of(suite), where)))
                    if variant and variant not in self.variants_of(suite, method):
                        raise ValueError(str(unknown("variant", variant, self.variants_of(suite, method), where)))
        return self

    @model_validator(mode="after")
    def _studies_are_of_one_method(self) -> Self:
        of: dict[str, str] = {}
        for method, section in self.methods.items():
            for variant in section.variants.values():
                if variant.study is not None and of.setdefault(variant.study, method) != method:
                    raise ValueError(
                        f"methods: the study {variant.study!r} has variants of {of[variant.study]} and of {method}; "
                        "a study is about one method, give one of them another name"
                    )
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml; `BenchError` names the key, what was expected and the remedy."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise BenchError(f"{path}: expected a mapping with the keys {', '.join(Params.model_fields)}")
    return parse(Params, content, str(path))


def parse(model: type[M], content: Any, where: str, prefix: str = "") -> M:
    """Validate `content` as `model`; the first error becomes a one-line `BenchError`.

    The line begins with `where` (a file), then names the key, with `prefix` before it when
    `content` is only a part of the file ("methods.dap.params").
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise BenchError(f"{where}: {first_message(model, content, error, prefix)}") from error
