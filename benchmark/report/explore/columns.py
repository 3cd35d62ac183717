"""Records as columns, so that a page with thousands of them stays small."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DIGITS = 5


def columns(records: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """Return {name: values} of the records; words are stored once, as {"words", "at"}. Numbers have 5 digits."""
    return {name: _column([record[name] for record in records]) for name in names}


def _column(values: list[Any]) -> Any:
    if values and all(isinstance(value, str) for value in values):
        words = {word: place for place, word in enumerate(dict.fromkeys(values))}
        return {"words": list(words), "at": [words[value] for value in values]}
    return [_short(value) for value in values]


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, float):
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() else short
    return value
