"""One unit of work, its key, and what comes out of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from benchmark.config.params import Section
from benchmark.errors import BenchError
from benchmark.files import canonical_json, sha256
from benchmark.jobs.fingerprint import fingerprint
from benchmark.jobs.options import options


class Spec(Section):
    """All that decides a job's result, whose canonical JSON is in the job's key.

    `kind` names the kind of job, `module` the one whose `compute(job, context)` returns its `JobOutput`.
    """

    kind: ClassVar[str]
    module: ClassVar[str]


S_co = TypeVar("S_co", bound=Spec, covariant=True)


@dataclass(frozen=True)
class Job(Generic[S_co]):
    """One pure computation: its spec in, its result out.

    `modules` are the code roots beside the spec's own: those of the pruner and of the large model. `inputs` say where
    what is handed over lies (store keys, file names); its content is in the spec, so `inputs` are not in the key.
    `hint` is the expected duration relative to other jobs; it orders the work and decides nothing.
    """

    spec: S_co
    modules: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    label: str = ""
    hint: float = 1.0

    @property
    def kind(self) -> str:
        """The kind of job."""
        return self.spec.kind

    @property
    def unseeded(self) -> str:
        """The label without the seed: jobs that differ by their seed only have the same."""
        return re.sub(r"\bs\d+\b", "", self.label)

    @property
    def code(self) -> str:
        """The fingerprint of the code that the job runs through."""
        return fingerprint((self.spec.module, *self.modules))

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of the kind, the canonical spec and the code the job runs through."""
        return sha256(canonical_json({"kind": self.kind, "spec": options(self.spec), "code": self.code}))


@dataclass(frozen=True)
class JobOutput:
    """What a computation returns: `values` (deterministic) and `files` (plain names to content)."""

    values: Section
    files: dict[str, bytes] = field(default_factory=dict)


V = TypeVar("V", bound=Section)


@dataclass(frozen=True)
class JobResult:
    """A finished job as read back. `timing` has `started` (Unix seconds), `seconds` and `peak_mb`.

    `files` gives a path once the file's content is that which was written. `digests` are the SHA-256 of `files` as
    they were when the job was published.
    """

    values: dict[str, Any]
    files: Mapping[str, Path]
    digests: dict[str, str]
    timing: dict[str, float]
    folder: Path

    def read(self, kind: type[V]) -> V:
        """Return the values as the record that the computation returned; `BenchError` when they are no such record."""
        try:
            return kind.model_validate(self.values)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise BenchError(
                f"{self.folder}: job.json holds no result of its kind of job ({place}: {error.errors()[0]['msg']}); "
                "remove that folder and run again"
            ) from error
