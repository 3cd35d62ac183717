"""Hostile params.yaml: refused with the key named, in bounded time, and never with a traceback."""

import copy
import random
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmark.config.params import load_params
from benchmark.errors import BenchError
from benchmark.files import canonical_json
from benchmark.studies.reliability.suite import PARAMS, Finding

SECONDS = 10.0  # of the processor, for one file
VALUES: tuple[Any, ...] = (
    *(None, [], {}, "", "x", -1, 0, True, 10**25, 1e300, "1e999", [[1]], {"a": []}, [None], "../x", "\u0000"),
    *({"name": "python:os:system"}, ["channel", "channel"], "${x}", "ä" * 1000),
)
TEXTS = {
    "empty": "",
    "a list": "[1, 2]",
    "a number": "5",
    "deep lists": "a: " + "[" * 5000 + "]" * 5000,
    "deep mappings": "".join(f"{' ' * i}a:\n" for i in range(400)),
    "aliases that expand": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    ),
    "an alias of itself": "run: &a [*a]",
    "an unknown alias": "run: *nothing",
    "many digits": "run: {suites: [" + "9" * 5000 + "]}",
    "a date that is none": "run: 2024-02-31",
    "a time that is none": "run: 2024-01-01 99:99:99",
    "a tag on the wrong text": "run: !!int x",
    "a timestamp of words": "run: !!timestamp soon",
    "a binary of words": "run: !!binary '*'",
    "an object": "run: !!python/object/apply:os.system ['true']",
    "an unknown tag": "run: !thing {}",
    "a key given twice": "run: {}\nrun: {}",
    "tabs": "run:\n\tsuites: [x]",
    "an open quote": 'run: "x',
    "control signs": "run: \x01",
    "two documents": "run: {}\n---\nrun: {}",
    "very large": "a: " + "x" * 2_000_000,
    "many values": "a: [" + "1," * 150_000 + "1]",
    "a merge of nothing": "run: {<<: 5}",
    "keys that are lists": "? [1, 2]\n: 3",
    "infinities": PARAMS.replace("lr: 0.05", "lr: .inf"),
    "not numbers": PARAMS.replace("width: 0.0625", "width: .nan"),
}


def fuzzed(folder: Path, tries: int, rng: random.Random) -> Finding:
    """Read hostile texts, then `tries` descriptions with one value replaced, moved or removed.

    Each is refused in one line that names the file and the key, or still describes experiments.
    """
    finding = Finding("descriptions")
    path = folder / "params.yaml"
    texts = [(name, ("",), text) for name, text in TEXTS.items()]
    for name, keys, text in [*texts, *_mutants(tries, rng)]:
        path.write_text(text)
        begun = time.process_time()
        try:
            load_params(path)
        except BenchError as error:
            told = str(error).removeprefix(str(path))
            if "\n" in told or told == str(error) or not any(key in told for key in keys):
                finding.faults.append(f"{name}: told as {str(error)[:200]!r}")
        except Exception:
            finding.faults.append(f"{name}: {traceback.format_exc()[-300:]}")
        else:
            if name in TEXTS:
                finding.faults.append(f"{name}: taken as a description")
        if time.process_time() - begun > SECONDS:
            finding.faults.append(f"{name}: took {time.process_time() - begun:.0f} s")
        finding.tries += 1
    return finding


def _mutants(tries: int, rng: random.Random) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield what was done to the description, the keys of which one must be told, and the text."""
    plain = YAML(typ="safe", pure=True).load(PARAMS)
    every = list(_places(plain))
    for _ in range(tries):
        content, place = copy.deepcopy(plain), rng.choice(every)
        owner = content
        for key in place[:-1]:
            owner = owner[key]
        last, kind = place[-1], rng.choice(("replace", "replace", "replace", "remove", "rename"))
        if kind == "replace":
            owner[last] = copy.deepcopy(rng.choice(VALUES))
        elif kind == "rename" and isinstance(owner, dict):
            owner[f"{last}x"] = owner.pop(last)
        else:
            del owner[last]
        # JSON is YAML.
        keys = tuple(key for key in place if isinstance(key, str))
        yield f"{kind} {'.'.join(map(str, place))}", keys, canonical_json(content).decode()


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(child, (*place, key))
