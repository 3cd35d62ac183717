"""The kinds of jobs, and what each must know.

A spec's canonical JSON leaves out what is at its default, so a new option with a default changes no key.
"""

from typing import ClassVar, Literal

from pydantic import JsonValue

from benchmark.config.params import (
    CostKind,
    DatasetRef,
    Distillation,
    FineTuning,
    Granularity,
    ModelRef,
    Recipe,
    Section,
    Split,
)
from benchmark.jobs.job import Spec


class SourceSpec(Spec):
    """The source task and the large model of one seed, which every job works on.

    `source_digest` is the hash of the prepared data. `library` and `pretrained` say what a large model from elsewhere
    is: the library's version, and the hash or address of its weights.
    """

    source: DatasetRef
    source_digest: str
    split: Split
    model: ModelRef
    training: Recipe
    seed: int
    device: str
    threads: int = 1
    library: str | None = None
    pretrained: str | None = None


class PretrainSpec(SourceSpec):
    """The training of the large model; in the control `labels` on permuted labels."""

    kind: ClassVar[str] = "pretrain"
    module: ClassVar[str] = "benchmark.protocol.pretrain"

    sanity: Literal["labels"] | None = None


class TuneSpec(SourceSpec):
    """The choice of the learning rates of one budget: see `TuningSection`.

    `finetune` or `scratch` None: not asked for. `seeds` None: the one seed.
    """

    kind: ClassVar[str] = "tune"
    module: ClassVar[str] = "benchmark.protocol.learning_rates"

    cost: CostKind
    granularity: Granularity
    budget: float
    factors: list[float]
    architectures: int
    shots: list[int]
    draws: int
    finetune: FineTuning | None = None
    scratch: Recipe | None = None
    seeds: list[int] | None = None
    extensions: int = 0


class SearchSpec(SourceSpec):
    """A search by `method` with its non-default `params`; `pretrain` is the key of the large model's pretraining."""

    kind: ClassVar[str] = "search"
    module: ClassVar[str] = "benchmark.protocol.search"

    cost: CostKind
    granularity: Granularity
    budgets: list[float]
    method: str
    params: dict[str, JsonValue]
    pretrain: str
    sanity: Literal["inverted", "labels"] | None = None


class FeatureMeasure(Section):
    """A measure of frozen features: on how many episodes per number of shots, and how strongly it is regularised."""

    episodes: int
    strength: float | None = None


class TargetSpec(Section):
    """The few-shot tasks on one target; `recipe` (None: no fine-tuning) is that on the examples of `draws` episodes.

    Fine-tuning may be measured for some numbers of shots only, `finetune_shots`. `top5`: all measures also count a
    class among the five first.
    """

    label: str
    ref: DatasetRef
    digest: str
    pool: int
    shots: list[int]
    draws: int = 0
    recipe: FineTuning | None = None
    finetune_shots: list[int] | None = None
    nearest: FeatureMeasure | None = None
    probe: FeatureMeasure | None = None
    test: int | None = None
    ways: int | None = None
    top5: bool = False


class Form(Section):
    """Which architecture is retrained, by no more than what decides the result: exactly one of these is given.

    `kept` are widths (channels of a layer are exchangeable once their weights are drawn anew), `shuffled` the numbers
    of units that the control of that name draws, `architecture` the digest of an architecture.
    """

    dense: bool = False
    kept: dict[str, int] | None = None
    shuffled: dict[str, int] | None = None
    architecture: str | None = None


class TransferSpec(SourceSpec):
    """The retraining of one architecture in one weights mode; `state` is the digest of inherited weights.

    `retraining` numbers the draws of new weights. `teacher` is the key of the pretraining whose network teaches in the
    source training, as much as `distillation` says; both are None where there is no teacher.
    """

    kind: ClassVar[str] = "transfer"
    module: ClassVar[str] = "benchmark.protocol.transfer"

    targets: list[TargetSpec]
    weights: Literal["fresh", "scratch", "inherit"]
    granularity: Granularity
    form: Form
    flops_cap: float | None = None
    state: str | None = None
    retraining: int = 0
    teacher: str | None = None
    distillation: Distillation | None = None


class FloorSpec(SourceSpec):
    """The measures of frozen features, taken of the images themselves."""

    kind: ClassVar[str] = "floors"
    module: ClassVar[str] = "benchmark.protocol.floors"

    targets: list[TargetSpec]
