"""A process that has imported everything, and serves the stages of a pipeline each in a fork of itself.

DVC starts a program per stage. Most only write files, and importing torch and matplotlib would take longer than that.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from benchmark.jobs.fingerprint import FIRST_PARTY, fingerprint

ADDRESS = "DAPBENCH_STAGES"  # where the socket is, in the environment of those that may ask
SUPPORTED = sys.platform == "linux"  # elsewhere system libraries do not survive a fork
IMPORTED = (
    "torch",
    "matplotlib.pyplot",
    "seaborn",
    "benchmark.analysis",
    "benchmark.pipeline.stages",
    "benchmark.report",
)
_LENGTH = 8  # bytes, before a request
_FAILED = 1


@contextlib.contextmanager
def warm_stages() -> Iterator[None]:
    """Serve `dapbench stage` of processes started inside, in one process that ends with this one."""
    if not SUPPORTED:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="dapbench-") as folder:
        address = str(Path(folder) / "stages")
        program = str(Path(sys.executable).with_name("dapbench"))
        # It reads its standard input until this process closes it or dies.
        server = subprocess.Popen([program, "serve", address], stdin=subprocess.PIPE)
        os.environ[ADDRESS] = address
        try:
            yield
        finally:
            del os.environ[ADDRESS]
            with server:
                server.terminate()


def ask(arguments: Sequence[str]) -> int | None:
    """Have a command line served, with this process's files, folder and environment; None where nobody serves.

    Returns its exit code.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        return None
    asked = {"arguments": list(arguments), "folder": str(Path.cwd()), "environment": dict(os.environ)}
    request = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return None
        socket.send_fds(connection, [len(request).to_bytes(_LENGTH, "big")], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(1)
    return answer[0] if answer else _FAILED


def serve(address: str, run: Callable[[list[str]], object]) -> None:
    """Have those who connect to `address` served until standard input ends; `run` is the command line's program."""
    with socket.socket(socket.AF_UNIX) as listener:
        # Bound first: who comes early waits.
        listener.bind(address)
        listener.listen()
        for name in IMPORTED:
            import_module(name)
        # Hashed once for all stages: nobody edits the code of a pipeline that runs.
        fingerprint(name for name in sys.modules if name.partition(".")[0] in FIRST_PARTY)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that started it
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    sys.exit(_answer(connection, run))


def _answer(connection: socket.socket, run: Callable[[list[str]], object]) -> int:
    """Run what is asked for, and tell and return its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    length, files, _, _ = socket.recv_fds(connection, _LENGTH, 3)
    request = json.loads(connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    code = _FAILED
    try:
        run(request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else _FAILED
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(bytes([code % 256]))
    return code
