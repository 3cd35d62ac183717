"""What a run of MLflow should hold, without MLflow."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.files import canonical_json, file_sha256, sha256

CELL_KEY = "cell_key"
CONTENT_HASH = "content_hash"
PARENT = "mlflow.parentRunId"


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
class RunRecord:
    """One run to be. `key` identifies it in its experiment, whatever its content; `parent` is another run's key.

    Times are Unix milliseconds. `artifacts` maps paths within the run to files.
    """

    key: str
    name: str
    started: int
    ended: int
    parent: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of everything above, files by their content."""
        content = {
            "key": self.key,
            "name": self.name,
            "times": [self.started, self.ended],
            "parent": self.parent,
            "params": self.params,
            "metrics": self.metrics,
            "tags": self.tags,
            "artifacts": {name: file_sha256(path) for name, path in self.artifacts.items()},
            "datasets": self.datasets,
        }
        return sha256(canonical_json(content))


@dataclass(frozen=True)
class ExperimentRecord:
    """All runs of one suite, parents before their children; `note` is the description shown above them."""

    name: str
    note: str
    runs: tuple[RunRecord, ...]
