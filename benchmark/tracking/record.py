"""What MLflow should hold, without MLflow."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.files import canonical_json, file_sha256, sha256


class Metric(NamedTuple):
    """One point of a metric; its timestamp is the end of the run."""

    key: str
    value: float
    step: int = 0


class Dataset(NamedTuple):
    """A data set as an input of a run: its role (source or target), its label there, and its manifest."""

    context: str
    label: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run to be. Times are Unix milliseconds; `artifacts` maps paths within the run to files, or to their text."""

    name: str
    started: int
    ended: int
    params: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path | str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()

    def content(self) -> dict[str, Any]:
        """Return everything above as JSON, files by their hash."""
        files = {name: file_sha256(one) if isinstance(one, Path) else one for name, one in self.artifacts.items()}
        return {**vars(self), "artifacts": files}


@dataclass(frozen=True)
class Group:
    """A run and those nested below it, which are written and replaced together.

    `place` is what they are about; `parameters` is the hash of the parameters they were made with ("" where there are
    none), so that groups of one place with other parameters are other groups.
    """

    place: str
    parameters: str
    parent: Run
    children: tuple[Run, ...] = ()

    @property
    def key(self) -> str:
        """What identifies the group in its experiment, whatever its content."""
        return "/".join(filter(None, (self.place, self.parameters)))

    @property
    def runs(self) -> int:
        """How many runs the group has."""
        return 1 + len(self.children)

    @cached_property
    def content(self) -> str:
        """The hash of all its runs."""
        return sha256(canonical_json([run.content() for run in (self.parent, *self.children)]))


@dataclass(frozen=True)
class Experiment:
    """All groups of one suite; `tags` are the experiment's own, among them its description and its views."""

    name: str
    tags: dict[str, str]
    groups: tuple[Group, ...]
