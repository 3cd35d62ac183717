"""Everything in params.yaml that can be known to be wrong before anything is trained.

`benchmark.config.params` checks keys, types and ranges. Here come the names in the registries, the methods' own
parameters, the data behind the tasks, the budgets against the large model, the device and the disk.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EISDIR
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config.params import DatasetRef, ModelRef, Params, SuiteConfig, TargetRef, parse
from benchmark.errors import BenchError, unknown
from benchmark.files import canonical_json, sha256, write_json
from benchmark.jobs.fingerprint import fingerprint
from benchmark.seeds import derive

if TYPE_CHECKING:
    from benchmark.data.inspect import Inspection

FREE_MB = 100
_WRITTEN = (".jobs", "data", "artifacts", "reports")
_LIBRARIES = ("torch", "torchvision", "timm", "scikit-learn")


def validate(
    params: Params,
    suites: Iterable[str] | None = None,
    where: str = "params.yaml",
    root: Path = Path(),
) -> None:
    """Check all of `params`, and the data and budgets of `suites` (default: those of `run.suites`).

    `root` is the working folder. Raises `BenchError` at the first fault, in a line that begins with `where` (the file)
    and the key, or with the folder. Nothing is trained, and no images are read. What passed is remembered in the job
    store, and checked again once the parameters, the code or the libraries change.
    """
    chosen = chosen_suites(params, suites)
    check_device(params.compute.device, where)
    check_disk(root)
    passed = root / ".jobs" / "validated" / f"{_state(params, chosen)}.json"
    if passed.exists():
        return
    check_methods(params, where)
    check_names(params, where, chosen)
    for suite in chosen:
        check_suite(suite, params, where, root)
    write_json(passed, {"suites": chosen})


def chosen_suites(params: Params, named: Iterable[str] | None) -> list[str]:
    """Return the suites `named`, by default those of `run.suites`; `BenchError` for an unknown one."""
    chosen = list(named or params.run.suites)
    for suite in chosen:
        if suite not in params.suites:
            raise unknown("suite", suite, params.suites, "--suite")
    return chosen


def check_device(device: str, where: str) -> None:
    """Raise `BenchError` when params ask for a GPU that is not there, or that the installed torch cannot use."""
    if device != "cuda":
        return
    import torch

    if not torch.backends.cuda.is_built():
        raise BenchError(
            f"{where}: compute.device: 'cuda', but the installed torch is built without CUDA; "
            "install one with it, or write auto or cpu"
        )
    if not torch.cuda.is_available():
        raise BenchError(f"{where}: compute.device: 'cuda', but torch finds no GPU here; write auto or cpu")


def check_disk(root: Path) -> None:
    """Raise `BenchError` unless the folders a run writes to can be written and have `FREE_MB` left."""
    for folder in {_existing(root / name) for name in _WRITTEN}:
        try:
            _write_something(folder)
        except OSError as error:
            raise BenchError(
                f"{folder}: cannot be written ({error.strerror}); free some space or make it writable, then run again"
            ) from error
        free = shutil.disk_usage(folder).free // 10**6
        if free < FREE_MB:
            raise BenchError(f"{folder}: {free} MB are free on its disk, a run needs {FREE_MB} MB; free some space")


def check_writable(option: str, path: Path) -> None:
    """Raise `BenchError` where a file that is written at the end could not be."""
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        _write_something(_existing(path.absolute().parent))
    except OSError as error:
        raise BenchError(f"{option}: {path} cannot be written ({error.strerror}); name another file") from error


def _write_something(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())  # some disks tell only now that they are full


def check_methods(params: Params, where: str) -> None:
    """Raise `BenchError` for an unknown method, wrong parameters of one, or a granularity that it does not serve."""
    from benchmark.pruning.registry import pruner

    for name, method in params.methods.items():
        kind = pruner(name, f"{where}: methods")
        key = f"methods.{name}"
        parse(kind.Parameters, method.params, where, f"{key}.params")
        for label, variant in method.variants.items():
            parse(kind.Parameters, {**method.params, **variant.params}, where, f"{key}.variants.{label}.params")
            for granularity in variant.granularities or ():
                if granularity not in kind.granularities:
                    raise BenchError(
                        f"{where}: {key}.variants.{label}.granularities: {name} does not serve {granularity!r}; "
                        f"it serves {', '.join(kind.granularities)}"
                    )
    for name in params.run.methods:
        pruner(name, f"{where}: run.methods")
    for name, suite in params.suites.items():
        for label in suite.exclude:
            pruner(label, f"{where}: suites.{name}.exclude")
        for label, own in suite.methods.items():
            key = f"suites.{name}.methods"
            kind, method = pruner(label, f"{where}: {key}"), params.method(label)
            for chosen in own.variants or ():
                if chosen not in method.variants:
                    raise unknown("variant", chosen, method.variants, f"{where}: {key}.{label}.variants")
            # As `benchmark.pipeline.plan` merges them: the suite's own parameters go before a variant's.
            run = method.variants if own.variants is None else own.variants
            for changed in ({}, *(method.variants[variant].params for variant in run)):
                parse(kind.Parameters, {**method.params, **changed, **own.params}, where, f"{key}.{label}.params")
            if not set(suite.grid.granularities) & set(kind.granularities):
                raise BenchError(
                    f"{where}: {key}.{label}: serves only {', '.join(kind.granularities)}, which is not in the suite's "
                    f"grid.granularities; add it there or remove the method"
                )


def check_names(params: Params, where: str, suites: Collection[str]) -> None:
    """Raise `BenchError` for a data set or a large model that does not exist.

    A user's own images, and the models and weights of libraries, are looked for only where one of `suites` needs them.
    """
    from benchmark import data, models
    from benchmark.data.registry import check_classes, is_own

    for name, suite in params.suites.items():
        with _named(where):
            (models.check_ref if name in suites else models.check_form)(suite.model, f"suites.{name}.model")
            for key, ref in _refs(suite):
                place = f"suites.{name}.data.{key}"
                if name in suites or not is_own(ref.name, f"{place}.name"):
                    data.check_ref(ref, place)
                else:
                    check_classes(ref, None, place)


def check_suite(name: str, params: Params, where: str, root: Path) -> None:
    """Raise `BenchError` when a suite's data cannot be had or is too small, or a budget is below what is possible."""
    from benchmark.data.splits import check_shots, draw_ways, split_source, split_target

    suite = params.suites[name]
    section = suite.data
    shapes = []
    for key, ref, found in _inspected(name, suite, params.data.mirrors, where, root):
        labels = found.labels
        shapes.append((key, found.shape))
        _note_contradictions(f"suites.{name}.data.{key}", found)
        smallest = float("inf")
        # With repeated images, which stay together, the splits of some seeds may lack what those of others have.
        repeated = found.groups is not None and len(found.groups.unique()) < len(found.groups)
        with _named(f"{where}: suites.{name}: data.{key}"), _by_name(found.classes):
            for seed in suite.grid.seeds if repeated else suite.grid.seeds[:1]:
                if isinstance(ref, TargetRef):
                    drawn = derive(seed, "target", ref.label)
                    pool = split_target(labels, suite.pool(ref), drawn, found.groups).pool
                    if ref.ways is None:
                        check_shots(labels, pool, max(suite.shots(ref)), found.groups)
                else:
                    parts = split_source(labels, section.split, derive(seed, "split"), found.groups)
                    smallest = min(smallest, labels[parts.train].bincount().min().item())
        with _named(f"{where}: suites.{name}"):
            if not isinstance(ref, TargetRef):
                classes = len(labels.unique())
                _check_tuning(suite, smallest, classes)
            elif ref.ways is not None:
                draw_ways(found.classes, ref.ways, 0, 0)
    shape = shapes[0][1]
    for key, other in shapes[1:]:
        if other != shape:
            raise BenchError(
                f"{where}: suites.{name}.data.{key}: images of {_pixels(other)}, but the source's are "
                f"{_pixels(shape)}; set `channels` and `size` to make them alike"
            )
    _check_budgets(name, suite, shape, classes, where)


def _note_contradictions(place: str, found: "Inspection") -> None:
    """Say on stderr how many images lie in more than one class: no network can be right about all of them."""
    if found.groups is None:
        return
    # A group's number is the row of its first image.
    first = found.labels[found.groups]
    (rows,) = (found.labels != first).nonzero(as_tuple=True)
    if len(rows):
        one, other = (found.classes[label[rows[0]]] for label in (first, found.labels))
        print(
            f"note: {place}: {len(found.groups[rows].unique())} images lie in more than one class, the first in "
            f"{one!r} and {other!r}; take them out of all but one",
            file=sys.stderr,
        )


def _check_tuning(suite: SuiteConfig, smallest: float, classes: int) -> None:
    """The rates are chosen on few-shot tasks of half the source's classes."""
    shots = max(suite.transfer.shots)
    if suite.tuning is not None and (classes < 4 or smallest < shots):
        raise BenchError(
            f"tuning: needs 4 source classes with {shots} training images each, to draw few-shot tasks from; "
            f"the source has {classes} classes with {smallest:g} at least; remove `tuning` or take another source"
        )


def _check_budgets(name: str, suite: SuiteConfig, shape: tuple[int, ...], classes: int, where: str) -> None:
    import torch

    from benchmark import models
    from benchmark.space import build_space

    with _named(f"{where}: suites.{name}.model"):
        network = models.build(suite.model, shape[0], classes, shape[1])
        models.check_images(network, suite.model, shape[0], classes, shape[1])
    for granularity, cost in product(suite.grid.granularities, suite.grid.costs):
        with _named(f"{where}: suites.{name}"):
            space = build_space(network, torch.zeros(1, *shape), granularity, cost)
        for budget in suite.grid.budgets:
            if budget < space.minimum:
                raise BenchError(
                    f"{where}: suites.{name}.grid.budgets: {budget:g} is less than the smallest {granularity} "
                    f"architecture of {suite.model.name} needs, {space.minimum:.2g} of its {cost}; "
                    "raise the budget, or give the model a larger width"
                )


def _refs(suite: SuiteConfig) -> Iterator[tuple[str, DatasetRef]]:
    yield "source", suite.data.source
    for index, target in enumerate(suite.data.targets):
        yield f"targets.{index}", target


def _inspected(
    name: str, suite: SuiteConfig, mirrors: list[str], where: str, root: Path
) -> list[tuple[str, DatasetRef, "Inspection"]]:
    """Look into all data sets of a suite; what is wrong with any of them is told at once."""
    found, faults = [], []
    for key, ref in _refs(suite):
        try:
            found.append((key, ref, _inspect(ref, mirrors, root)))
        except BenchError as error:
            faults.append((key, str(error)))
    if faults:
        told = [f"suites.{name}.data.{key}: {fault}" for key, fault in faults]
        raise BenchError(f"{where}: {' | '.join(told)}")
    return found


def _inspect(ref: DatasetRef, mirrors: list[str], root: Path) -> "Inspection":
    from benchmark.data.inspect import inspect
    from benchmark.jobs.progress import Progress

    with Progress(every=5.0, quiet=5.0) as progress:
        return inspect(ref, mirrors, root / "data" / "downloads", progress)


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[2]} pixels in {shape[0]} channel{'s' * (shape[0] > 1)}"


def _state(params: Params, suites: list[str]) -> str:
    """A hash of all that the checks depend on: parameters, this project's code, plug-ins and libraries."""
    code = {}
    for package in ("benchmark", "baselines"):
        spec = find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            code.update(
                {str(path.relative_to(folder)): sha256(path.read_bytes()) for path in Path(folder).rglob("*.py")}
            )
    installed = [
        [point.name, point.value, point.dist and point.dist.version]
        for group in ("dapbench.pruners", "dapbench.datasets")
        for point in entry_points(group=group)
    ]
    libraries = [version(name) for name in _LIBRARIES]
    described = params.model_dump(mode="json", exclude={"compute"})
    files = [_stamp(ref) for suite in suites for _, ref in _refs(params.suites[suite])]
    files += [_model_stamp(params.suites[suite].model) for suite in suites]
    return sha256(canonical_json([described, suites, code, installed, libraries, files]))


def _stamp(ref: DatasetRef) -> str:
    """What changes when a user's own images do; "" for a set that cannot change, is unknown or is not there."""
    from benchmark.data.registry import find

    try:
        dataset, option = find(ref.name, "name")
        return dataset.stamp(option)
    except (BenchError, OSError):
        return ""


def _model_stamp(ref: ModelRef) -> str:
    """What changes when a user's own weights or a user's own model do."""
    try:
        module = fingerprint((ref.name.split(":")[1],)) if ref.library == "python" else ""
        status = Path(ref.file).expanduser().stat() if ref.file is not None else None
    except (BenchError, OSError, IndexError):
        return ""
    return module if status is None else f"{module} {status.st_size} {status.st_mtime_ns}"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


@contextmanager
def _by_name(classes: Sequence[str]) -> Iterator[None]:
    """Put the names of classes behind their numbers, which count those that the reference chose."""
    try:
        yield
    except BenchError as error:
        names = {str(number): f"class {number} ({name})" for number, name in enumerate(classes)}
        said = re.sub(r"\bclass (\d+)\b", lambda found: names.get(found[1], found[0]), str(error))
        raise BenchError(said) from error


@contextmanager
def _named(place: str) -> Iterator[None]:
    try:
        yield
    except BenchError as error:
        raise BenchError(f"{place}: {error}") from error
