"""The one exception a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


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
