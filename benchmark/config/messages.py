"""From the errors of a refused configuration to the one line that tells a user what to mend."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def first_message(model: type[BaseModel], content: Any, error: ValidationError, prefix: str) -> str:
    """Return in one line what is wrong with `content`, which `model` refused: the key, what was expected, the remedy.

    `prefix` stands before the key where `content` is only a part of a file.
    """
    # A misspelt key shows up twice, as unknown and as missing; the unknown one is the one to read.
    errors = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    first = errors[0]
    key = _key(content, first)
    dotted = ".".join(filter(None, [prefix, *map(str, key)]))
    if first["type"] == "extra_forbidden":
        fields = _fields_at(model, first["loc"][:-1])
        close = get_close_matches(str(first["loc"][-1]), fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(fields)}"
        return f"{dotted}: unknown key; {hint}"
    if first["type"] in _SENTENCES:
        message = _SENTENCES[first["type"]] or str(first["ctx"]["error"])
    else:
        # A value that fits no branch of a union has one error per branch.
        wanted = dict.fromkeys(_wanted(item) for item in errors if _key(content, item) == key)
        given = first["input"]
        shown = "" if isinstance(given, dict | list) else f" (got {_short(given)})"
        message = f"expected {' or '.join(wanted)}{shown}"
    return f"{dotted}: {message}" if dotted else message


def _key(content: Any, error: Any) -> tuple[str | int, ...]:
    """The error's place as the user wrote it: pydantic's names of union branches left out."""
    key: list[str | int] = []
    for part in error["loc"]:
        if (isinstance(content, dict) and part in content) or (isinstance(content, list) and isinstance(part, int)):
            content = content[part]
        elif error["type"] != "missing":
            continue
        key.append(part)
    return tuple(key)


def _wanted(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Input should be ")
    number = "a number " if message.startswith(("greater", "less")) else ""
    return _WANTED.get(error["type"], number + message)


_SENTENCES = {
    "value_error": "",
    "missing": "missing; add it",
    "too_short": "at least one value is needed",
    "invalid_key": "keys are words; put it in quotes if it is meant so",
}
_WANTED = {
    "dict_type": "a mapping of keys to values ({} for none)",
    "model_type": "a mapping of keys to values ({} for the defaults)",
    "list_type": "a list such as [0, 1]",
    "string_pattern_mismatch": "a name of small letters, digits, - and _",
}


def _short(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys allowed at `path` below `model`, following lists, dictionaries and optional sections."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        while not (isinstance(current, type) and issubclass(current, BaseModel)):
            inner = [a for a in get_args(current) if a not in (type(None), str)]
            sections = [a for a in inner if get_args(a) or (isinstance(a, type) and issubclass(a, BaseModel))]
            if not sections:
                break
            current = sections[-1]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []
