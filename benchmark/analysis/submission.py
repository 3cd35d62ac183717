"""One file with a method's results on a suite, for others to check: the pipeline's own files and the architectures.

It holds METHOD.json and METHOD.search.json as the pipeline wrote them, every architecture that they name, what the
method was set to, and a checksum. `read_submission` believes none of it: types, ranges and unknown keys are refused,
and the parts must agree with each other. Whether they agree with the suite, `benchmark.pipeline.acceptance` says.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from benchmark.analysis.result_files import Digest, FoundArchitecture, Nested, Overlap, Seed, Share, Trace, read_part
from benchmark.analysis.rows import Row
from benchmark.analysis.seal import intact
from benchmark.config.params import MethodConfig, Name, SuiteMethod
from benchmark.errors import BenchError

SCHEMA = 1
KIND = "dapbench results"
REMEDY = "make the file again with `dapbench submit`"
# What tells two rows, and two architectures, of one method apart.
PLACE = ("variant", "granularity", "cost", "budget", "seed")
MEASURED = ("weights", "target", "shots", "draw", "measure", "retraining")
# What a row repeats of its architecture.
SAME = ("params", "macs", "complexity")

Version = Annotated[Literal[1], Field(alias="schema")]
# Words that are shown to readers: nothing that a page or a table would take for more.
Text = Annotated[str, Field(max_length=300, pattern=r"^[^<>|`\x00-\x1f]*$")]


class Closed(BaseModel):
    """A part of the file in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Package(Closed):
    """The Python distribution that the pruner's class came from."""

    name: Text
    version: Text


class DataDigests(Closed):
    """Content hashes of the prepared data."""

    source: Digest
    targets: dict[Name, Digest]


class Provenance(Closed):
    """What the rows were computed with."""

    machine: dict[Name, Text | int | None]
    python: Text
    libraries: dict[Name, Text]
    device: Text
    data: DataDigests


class Results(Closed):
    """METHOD.json."""

    version: Version
    rows: Annotated[list[Row], Field(min_length=1)]
    provenance: Provenance


class SubmittedArchitecture(FoundArchitecture):
    """An architecture in METHOD.search.json, with all that is said of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    method: Name
    complexity: Share
    params: Seed
    macs: Seed
    digest: Digest
    origin: Text
    reference: Text


class SubmittedTrace(Trace, extra="forbid"):
    """The course of one search."""


class SubmittedOverlap(Overlap, extra="forbid"):
    """How alike the architectures of several seeds are."""


class SubmittedNested(Nested, extra="forbid"):
    """How much of an architecture is in the next larger one."""


class Searched(Closed):
    """METHOD.search.json."""

    version: Version
    architectures: Annotated[list[SubmittedArchitecture], Field(min_length=1)]
    traces: list[SubmittedTrace]
    overlaps: list[SubmittedOverlap] = []
    nested: list[SubmittedNested] = []


class Submission(Closed):
    """The file. `architectures` are architecture files by digest, each compressed by zlib and written in base 64.

    `settings` are those of the method in params.yaml, `suite_settings` what the suite changes of them; `parameters` is
    the suite's section without what belongs to single methods.
    """

    version: Version
    kind: Literal["dapbench results"]
    suite: Name
    method: Name
    package: Package
    settings: MethodConfig
    suite_settings: SuiteMethod
    parameters: dict[str, JsonValue]
    results: Results
    search: Searched
    architectures: dict[Digest, str]
    checksum: Digest


def read_submission(path: Path) -> Submission:
    """Read and check a file of results; `BenchError` names the file, the key and what is wrong with it."""
    found, content = read_part(path, Submission, SCHEMA, REMEDY)
    if not intact(content):
        raise refused(path, "checksum", "the file was changed after it was written")
    _check_architectures(path, found)
    _check_rows(path, found)
    return found


def refused(path: Path, key: str, reason: str, remedy: str = REMEDY) -> BenchError:
    """Return the error of a file that is not accepted."""
    return BenchError(f"{path}: {key}: {reason}; {remedy}")


def _check_architectures(path: Path, found: Submission) -> None:
    entries = found.search.architectures
    for at, entry in enumerate(entries):
        if entry.method != found.method:
            raise refused(path, f"search.architectures.{at}.method", f"{entry.method!r}, not {found.method!r}")
        if entry.digest not in found.architectures:
            raise refused(path, f"search.architectures.{at}.digest", "the architecture is not in the file")
    _check_distinct(path, "search.architectures", (_place(entry, PLACE) for entry in entries))
    if spare := set(found.architectures) - {entry.digest for entry in entries}:
        raise refused(path, f"architectures.{min(spare)}", "no search found it")


def _check_rows(path: Path, found: Submission) -> None:
    searched = {_place(entry, PLACE): entry for entry in found.search.architectures}
    for at, row in enumerate(found.results.rows):
        key = f"results.rows.{at}"
        for name, wanted in (("suite", found.suite), ("method", found.method), ("arm", "")):
            if getattr(row, name) != wanted:
                raise refused(path, f"{key}.{name}", f"{getattr(row, name)!r}, not {wanted!r}")
        entry = searched.get(_place(row, PLACE))
        if entry is None or entry.digest != row.architecture:
            raise refused(path, f"{key}.architecture", "no search of the file found it there")
        for name in SAME:
            if getattr(row, name) != getattr(entry, name):
                raise refused(path, f"{key}.{name}", f"{getattr(row, name)}, the search says {getattr(entry, name)}")
    _check_distinct(path, "results.rows", (_place(row, (*PLACE, *MEASURED)) for row in found.results.rows))


def _place(record: BaseModel, names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in names)


def _check_distinct(path: Path, key: str, places: Iterable[tuple[Any, ...]]) -> None:
    seen: dict[tuple[Any, ...], int] = {}
    for at, place in enumerate(places):
        if place in seen:
            raise refused(path, f"{key}.{at}", f"the same place as {key}.{seen[place]}")
        seen[place] = at
