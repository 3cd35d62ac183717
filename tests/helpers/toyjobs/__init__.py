"""Jobs whose computation is a few lines: what the executor is tested with."""

from pathlib import Path
from typing import Any, ClassVar

from benchmark.config.params import Section
from benchmark.jobs.job import Job, Spec


class Toy(Spec):
    """The square of a value; the other fields say what goes wrong on the way, and what is waited for."""

    kind: ClassVar[str] = "toy"
    module: ClassVar[str] = "toyjobs.square"

    value: int
    workers: int = 0
    sleep: float = 0.0
    begun: int = 0
    fail: bool = False
    large: bool = False
    die: bool = False


class Squared(Section):
    square: int
    threads: int


def toy(marks: Path, value: int, **spec: Any) -> Job[Toy]:
    """A job that squares `value` and leaves a file in `marks` each time it is computed."""
    return Job(Toy(value=value, **spec), inputs={"marks": str(marks)}, label=f"toy {value}")


def computed(marks: Path) -> list[int]:
    """The values that were computed to the end, once for each time."""
    return sorted(int(path.name.split("-")[0]) for path in marks.glob("*-done-*"))
