"""Data sets that installed packages bring, and what every registered one says of itself."""

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.config.params import DatasetRef
from benchmark.data import dataset_names, load, registry
from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.fixed import PlainDataset
from benchmark.data.sets.digits import Digits
from benchmark.errors import BenchError


class Brought(PlainDataset):
    """A data set of an installed package."""

    name = "brought"
    count = 2

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:
        images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
        return Stored(np.array([0, 1, 0, 1]), ("a", "b"), lambda rows: iter(images[rows]), "CC0", "none", "made here")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], None]]:
    """Make `entry_points` find an object in the group of data sets."""

    def put(value: object) -> None:
        point = SimpleNamespace(name="brought", group="dapbench.datasets", value="package:Brought", load=lambda: value)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "dapbench.datasets" else [])
        registry.datasets.cache_clear()

    yield put
    monkeypatch.undo()
    registry.datasets.cache_clear()


def test_a_package_brings_a_data_set(install: Callable[[object], None]) -> None:
    install(Brought)
    data = load(DatasetRef(name="brought"))
    assert (data.images.flatten().tolist(), data.labels.tolist()) == ([0, 1, 2, 3], [0, 1, 0, 1])
    assert "brought" in dataset_names()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (int, "entry point 'brought' of dapbench.datasets: package:Brought is no subclass"),
        (Digits, "package:Brought: a data set is named 'digits' already; rename one of them"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(install: Callable[[object], None], value: object, message: str) -> None:
    install(value)
    with pytest.raises(BenchError, match=f"^{message}"):
        load(DatasetRef(name="digits"))


@pytest.mark.parametrize("kind", registry.datasets().values(), ids=registry.datasets())
def test_every_data_set_says_what_it_is(kind: type[Dataset]) -> None:
    assert kind.__doc__ and kind.__doc__ != Dataset.__doc__
    assert kind.forms()
    for form in kind.forms():
        assert form.partition(":")[0] == kind.name
        if not re.search("[A-Z]{4}$", form):
            count = kind.check(form.partition(":")[2], "here")
            assert count is None or count >= 2
