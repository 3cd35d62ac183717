"""What a search can reach: everything of the source's training and validation parts, and nothing of a target."""

import gc
from types import ModuleType
from typing import Any

import pytest
import torch
from lab import Lab, pixels
from torch import Tensor

from benchmark.jobs.specs import TargetSpec
from benchmark.protocol import search
from benchmark.protocol.source import open_source
from benchmark.protocol.target import open_target
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner

NOT_ENTERED = (ModuleType, type, torch.nn.Module)


def reachable(root: Any) -> list[Any]:
    """Every object that `root` leads to: by attributes, items, closures and bound arguments, not through modules."""
    seen: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, NOT_ENTERED):
            continue
        seen[id(one)] = one
        if callable(one) and hasattr(one, "__code__"):
            # A function's globals are its module; what it has of its own are its closure and defaults.
            waiting += [cell.cell_contents for cell in one.__closure__ or ()] + list(one.__defaults__ or ())
        else:
            waiting += gc.get_referents(one)
    return list(seen.values())


@pytest.fixture
def given(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """The problem that a pruner is given by the step `search`."""
    kept: list[Problem] = []

    class Keeping(Pruner):
        name = "uniform"
        reference = "nobody"

        def search(self, problem: Problem) -> list[SubNetwork]:
            kept.append(problem)
            return problem.project(torch.arange(problem.space.n, dtype=torch.float64))

    monkeypatch.setattr(search, "pruner", lambda _name: Keeping)
    lab.again(lab.search("uniform"))
    return kept[0]


def images_of(found: list[Any]) -> set[bytes]:
    return {
        image.numpy().tobytes()
        for one in found
        if isinstance(one, Tensor) and one.dtype == torch.uint8 and one.ndim == 4
        for image in one
    }


def test_a_search_reaches_no_target(lab: Lab, given: Problem) -> None:
    found = reachable(given)
    source = open_source(lab.pretrain().spec, lab.context)
    spec = TargetSpec.model_validate(lab.target())
    target = open_target(spec, 0, source, lab.context.data_root)
    theirs = images_of([target.images.images])
    own = {image.numpy().tobytes() for image in pixels(source.train)}
    assert images_of(found) & own == own  # the search sees what it may see
    assert not images_of(found) & (theirs - images_of([source.train.images]))
    texts = [one for one in found if isinstance(one, str)]
    assert spec.label not in texts and spec.digest not in texts


def test_what_reaches_a_target_would_be_found(lab: Lab, given: Problem) -> None:
    """The check itself: a target that hides behind a closure is seen."""
    source = open_source(lab.pretrain().spec, lab.context)
    target = open_target(TargetSpec.model_validate(lab.target()), 0, source, lab.context.data_root)
    given.progress = lambda _share: print(target)
    assert images_of([target.images.images]) <= images_of(reachable(given))
