"""What is done about damaged jobs: named, set aside and computed again."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmark.jobs.damage import DamagedJob
from benchmark.jobs.local import Failure
from benchmark.jobs.store import Store

T = TypeVar("T")


def mended(store: Store, compute: Callable[[], T]) -> T:
    """Return what `compute` returns; where a job of the store turns out to be damaged, set it aside and begin again.

    `compute` computes what the store lacks, so that little is done twice. A job that is damaged again is told as what
    it is, `DamagedJob`: the disk is not to be trusted then.
    """
    met: set[str] = set()
    while True:
        try:
            return compute()
        except DamagedJob as damage:
            if damage.key in met:
                raise
            met.add(damage.key)
            set_aside(store, damage)


def set_aside(store: Store, damage: DamagedJob) -> None:
    """Set a damaged job aside, and say so on stderr."""
    place = store.set_aside(damage.key)
    if place is not None:
        message = f"{damage.folder}: damaged job, {damage.fault}; set aside as {place}, and computed again"
        print(message, file=sys.stderr)


def set_aside_damaged(store: Store, key: str) -> None:
    """Set a job aside if the store has it and it is damaged."""
    try:
        store.verify(key)
    except KeyError:
        return
    except DamagedJob as damage:
        set_aside(store, damage)


def raise_damage(failures: Sequence[Failure]) -> None:
    """Raise the `DamagedJob` that kept a job from being computed, if any did."""
    for failure in failures:
        if failure.damage is not None:
            raise failure.damage
