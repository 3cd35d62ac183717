"""What all displays of progress share: a console, and a bar that stops when the work is over."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import Progress


class WithBar:
    """A context in which `bar`, once there is one, is shown, on `console` (default: stderr)."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.bar: Progress | None = None

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()
