"""Jobs whose computation is a few lines: what the executor is tested with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmark.jobs.store import Job


@dataclass(frozen=True)
class ToyJob(Job):
    package: ClassVar[str] = "toyjobs"


def toy(marks: Path, value: int, **spec: Any) -> ToyJob:
    """A job that squares `value` and leaves a file in `marks` each time it is computed."""
    return ToyJob("search", {"value": value, **spec}, inputs={"marks": str(marks)}, label=f"toy {value}")


def computed(marks: Path) -> list[int]:
    """The values that were computed to the end, once for each time."""
    return sorted(int(path.name.split("-")[0]) for path in marks.glob("*-done-*"))
