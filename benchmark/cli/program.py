"""The command line's frame: one place where errors become one line and an exit code."""

import errno
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from benchmark.errors import BenchError

Function = TypeVar("Function", bound=Callable[..., None])
_STORAGE = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}
_USAGE = 2
_INTERRUPTED = 130


class Program(TyperGroup):
    """A group of commands that tells a user's mistake in one line on stderr.

    Exit codes: 0 done; 1 a job failed or a bug (with its traceback); 2 bad input or a disk
    that cannot be written; 130 interrupted.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and leave with its exit code."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except BenchError as error:
            _leave(str(error))
        except typer.TyperException as error:
            _leave(_usage(error))
        except OSError as error:
            if error.errno not in _STORAGE:
                raise
            place = error.filename or "the working folder"
            _leave(
                f"{place}: cannot be written ({error.strerror}); free some space or make it writable, then run again"
            )
        if code == _INTERRUPTED:
            print("interrupted; finished jobs are kept, run the same command again to go on", file=sys.stderr)
        sys.exit(code or 0)


def _leave(message: str) -> None:
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(_USAGE)


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "dapbench"
    return f"{path}: {error.format_message().rstrip('.')}; see `{path} --help`"


app = typer.Typer(
    name="dapbench",
    cls=Program,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    """Which pruner's architectures still work when they are retrained on a new task with few examples?

    The experiment is described in params.yaml; `make reproduce` runs all of it.
    """
    if version:
        from importlib.metadata import version as installed

        print(f"dapbench {installed('dapbench')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def examples(*lines: str) -> str:
    """Return the end of a command's help: full lines as typed in a shell."""
    return "\n\n".join(["Example:" if len(lines) == 1 else "Examples:", *lines])


def command(
    *lines: str, panel: str | None = None, hidden: bool = False, name: str | None = None
) -> Callable[[Function], Function]:
    """Register a command, listed under `panel`, whose help ends with these examples; `name`: not the function's."""
    return app.command(name, hidden=hidden, epilog=examples(*lines), rich_help_panel=panel)
