"""Altered result files: refused with the file named, or read as what they now say, never a traceback."""

import copy
import json
import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.studies.reliability.suite import Finding

VALUES: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    -1,
    1e308,
    10**25,
    True,
    [[1]],
    0.5,
    "",
)
TEXTS = ("", "[" * 50_000, '{"schema": 1e999}', "NaN", "\ufeff{}", '{"schema": 1}', "[]", "9" * 6000)


def altered(files: Sequence[Path], readers: Sequence[Callable[[], object]], tries: int, rng: random.Random) -> Finding:
    """Alter one place of one file, `tries` times, and let every reader read; the files are as before afterwards."""
    finding = Finding("altered result files", tries)
    for _ in range(tries):
        path = rng.choice(list(files))
        before = path.read_bytes()
        name, content = _alteration(json.loads(before), rng)
        path.write_text(content)
        for read in readers:
            try:
                read()
            except BenchError as error:
                if "\n" in str(error) or str(path.parent) not in str(error):
                    finding.faults.append(f"{path.name}, {name}: told as {str(error)[:200]!r}")
            except Exception:
                finding.faults.append(f"{path.name}, {name}: {traceback.format_exc()[-400:]}")
        path.write_bytes(before)
    return finding


def _alteration(content: Any, rng: random.Random) -> tuple[str, str]:
    place = rng.choice(list(_places(content)))
    if not place:
        text = rng.choice(TEXTS)
        return f"all of it {text[:20]!r}", text
    owner = content
    for key in place[:-1]:
        owner = owner[key]
    name = ".".join(map(str, place))
    if rng.random() < 0.25:
        del owner[place[-1]]
        return f"without {name}", json.dumps(content)
    value = copy.deepcopy(rng.choice(VALUES))
    owner[place[-1]] = value
    return f"{name} = {str(value)[:30]}", json.dumps(content)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in a JSON value; of a list the first three entries, for they are alike."""
    yield place
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, child in pairs:
        yield from _places(child, (*place, key))
