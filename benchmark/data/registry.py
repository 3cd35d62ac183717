"""Finds the data sets: every file of `benchmark/data/sets` is one, and installed packages may bring others."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from benchmark.config.params import DatasetRef
from benchmark.data import sets
from benchmark.data.base import Dataset, original_labels
from benchmark.errors import BenchError, unknown
from benchmark.plugins import loaded_class

ENTRY_POINTS = "dapbench.datasets"


@cache
def datasets() -> dict[str, type[Dataset]]:
    """Return the kinds of data sets by the part of their name before the colon."""
    found: dict[str, type[Dataset]] = {}
    for module in sorted(iter_modules(sets.__path__), key=lambda item: item.name):
        content = vars(import_module(f"{sets.__name__}.{module.name}"))
        for value in content.values():
            if isinstance(value, type) and issubclass(value, Dataset) and value.__module__.endswith(f".{module.name}"):
                _add(found, value, value.__module__)
    for point in entry_points(group=ENTRY_POINTS):
        _add(found, loaded_class(point, Dataset), point.value)
    return found


def _add(found: dict[str, type[Dataset]], dataset: type[Dataset], where: str) -> None:
    if dataset.name in found:
        raise BenchError(
            f"{where}: a data set is named {dataset.name!r} already; rename one of them or uninstall its package"
        )
    found[dataset.name] = dataset


def dataset_names() -> tuple[str, ...]:
    """Return every name that a reference can have; placeholders are in capitals (`imagefolder:PATH`)."""
    return tuple(form for dataset in datasets().values() for form in dataset.forms())


def find(name: str, where: str) -> tuple[type[Dataset], str]:
    """Return the data set of a reference's name and its option; `BenchError` with a did-you-mean if there is none."""
    kind, _, option = name.partition(":")
    if kind not in datasets():
        raise unknown("data set", name, dataset_names(), where)
    return datasets()[kind], option


def is_own(name: str, where: str = "name") -> bool:
    """Return whether a reference's name is of a user's own files: they may change, so the class has a stamp."""
    return "stamp" in vars(find(name, where)[0])


def check_ref(ref: DatasetRef, where: str) -> None:
    """Raise `BenchError` for a reference that names no data set or classes it does not have; reads no images.

    `where` is the key of the reference, e.g. `suites.digits.data.source`.
    """
    dataset, option = find(ref.name, f"{where}.name")
    check_classes(ref, dataset.check(option, f"{where}.name"), where)


def check_classes(ref: DatasetRef, known: int | None, where: str) -> None:
    """Raise `BenchError` unless the reference's `classes` are at least two of the `known` number of classes."""
    merged = original_labels(ref)
    if merged is None:
        return
    if len(merged) < 2:
        raise BenchError(f"{where}.classes: one class is no task; name at least two")
    for label in (label for group in merged for label in group):
        if label < 0 or (known is not None and label >= known):
            last = "" if known is None else f" to {known - 1}"
            raise BenchError(f"{where}.classes: {label} is not a class of {ref.name}; its classes count from 0{last}")
