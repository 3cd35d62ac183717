"""The worker of `benchmark.jobs.worker` as a program, for a parent that could not start it by multiprocessing.

`python -m benchmark.jobs.child HANDLE`: HANDLE is an inherited end of a pipe, from which the arguments of `work` come
first and then the jobs. It ends with its standard input: so no child outlives its parent, however that one ends.
"""

import os
import sys
import threading
from multiprocessing.connection import Connection

from benchmark.jobs.worker import work


def main(handle: int) -> None:
    """Serve the pipe until it, or the standard input, is closed."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    pipe = Connection(handle)
    work(pipe, **pipe.recv())


def _end_with_input() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
