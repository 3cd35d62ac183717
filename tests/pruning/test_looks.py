"""What a class says of itself is what is shown, though its source alone is read."""

import pytest

from benchmark.pruning.looks import looks
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.registry import pruners


@pytest.mark.parametrize("kind", pruners().values(), ids=lambda kind: kind.name)
def test_the_look_is_the_class_s(kind: type[Pruner]) -> None:
    look = looks()[kind.name]
    assert look.label == (kind.label or kind.name.replace("_", " "))
    assert (look.color, look.marker) == (kind.color, kind.marker)


def test_every_colour_and_marker_is_one_method_s() -> None:
    own = [look for look in looks().values() if look.color is not None]
    assert len({look.color for look in own}) == len({look.marker for look in own}) == len(own)
