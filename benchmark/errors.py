"""The one exception a user is meant to read, and what others say in a line of it."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

TERMINAL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # codes of colours and the like (ECMA-48, CSI)


class BenchError(Exception):
    """Bad input, told in one line: what (key or file), what was expected, and the remedy.

    The command line prints the message without a traceback and exits with code 2.
    Anything else that escapes is a bug of this project and keeps its traceback.
    """


def unknown(what: str, name: str, known: Iterable[str], where: str) -> BenchError:
    """Return the error for a name that is not in a registry, with a did-you-mean.

    `what` is the kind of thing ("method"), `where` the key or option that named it.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return BenchError(f"{where}: unknown {what} {name!r}; {hint}known: {', '.join(names)}")


def expect(value: object, kind: type, key: str, expected: str) -> None:
    """Raise `BenchError`, beginning with `key`, unless `value` is of a kind; a bool is no number."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BenchError(f"{key}: {type(value).__name__}; expected {expected}")


def cause(error: BaseException) -> str:
    """Return in one line why something failed: type and message of the error that all others were raised from.

    Of a message of several lines it is the first; the colours that it may have for a terminal are left out.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [" ".join(TERMINAL.sub("", line).split()) for line in str(error).splitlines()]
    return ": ".join([type(error).__name__, *[line for line in lines if line][:1]])
