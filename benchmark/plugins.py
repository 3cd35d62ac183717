"""What other packages bring, by entry points."""

from importlib.metadata import EntryPoint
from typing import Any

from benchmark.errors import BenchError


def loaded_class(point: EntryPoint, base: type) -> Any:
    """Return the subclass of `base`, with a `name`, that an entry point names.

    `BenchError` where it is none, and with the reason where its package cannot be imported.
    """
    try:
        kind = point.load()
    except Exception as error:  # whatever a module does when it is imported
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        raise BenchError(
            f"entry point {point.name!r} of {point.group}: {point.value} cannot be loaded ({fault}); "
            "mend or uninstall its package"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, base) and isinstance(getattr(kind, "name", None), str)):
        raise BenchError(
            f"entry point {point.name!r} of {point.group}: {point.value} is no subclass of "
            f"{base.__module__}.{base.__name__} with a name; mend or uninstall its package"
        )
    return kind
