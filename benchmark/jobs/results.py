"""What each kind of job returns."""

from pydantic import Field

from benchmark.config.params import Measure, Section


class SourceAccuracy(Section):
    """Accuracies on the source's held-out parts."""

    validation: float
    test: float


class Pretrained(Section):
    """What a pretraining returns, beside `final.safetensors`: the state of the large model."""

    accuracy: SourceAccuracy
    flops: int
    steps: int


class Tried(Section):
    """A learning rate and the mean accuracy it gave."""

    lr: float
    accuracy: float


class Choice(Section):
    """The learning rate that is taken, and all that were tried."""

    lr: float
    tried: list[Tried]


class Tuned(Section):
    """What a choice of learning rates returns: one per recipe (`training`, `finetune`, `scratch`)."""

    rates: dict[str, Choice]


class Found(Section):
    """An architecture of a search; `file` and `state_file` are names among the job's files."""

    budget: float
    complexity: float
    params: int
    macs: int
    kept: dict[str, int]
    sizes: dict[str, int]
    digest: str
    file: str
    state_file: str
    state_pretrain_flops: int
    origin: str = ""
    notes: dict[str, float] = Field(default_factory=dict)

    @property
    def everything(self) -> bool:
        """Whether no unit is removed."""
        return self.kept == self.sizes


class Searched(Section):
    """What a search returns: an architecture per budget, the compute it took, and what it saw on the way."""

    architectures: list[Found]
    flops: int
    pretrain_flops: int
    trace: list[dict[str, float]] | None = None


class Measured(Section):
    """One accuracy on a target: that of one episode (number `draw`), or the mean over `episodes` of them.

    `episode_sd` is their standard deviation where there are several. `top5` counts a class among the five first; None
    where it is not asked for.
    """

    target: str
    shots: int
    draw: int
    accuracy: float
    train_flops: int
    measure: Measure = "finetune"
    episodes: int = 1
    episode_sd: float | None = None
    top5: float | None = Field(default=None, exclude_if=lambda value: value is None)


class Floor(Section):
    """What a measure gives on the images themselves, over the very same episodes."""

    target: str
    shots: int
    measure: Measure
    accuracy: float
    episodes: int
    episode_sd: float | None
    top5: float | None = Field(default=None, exclude_if=lambda value: value is None)


class Floors(Section):
    """What a job of floors returns; `chance` is what guessing gives, by target."""

    floors: list[Floor]
    chance: dict[str, float]


class Transferred(Section):
    """What a retraining returns: the network's size and its accuracies. `scratch` has none on the source."""

    source_accuracy: float | None
    params: int
    macs: int
    results: list[Measured]
