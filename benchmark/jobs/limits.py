"""What one job may take: for jobs that run code nobody here has written, and may not end."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Seconds, and GB (10^9 bytes) of resident memory (on Linux)."""

    seconds: float = 600.0
    gigabytes: float = 14.0

    def exceeded(self, pid: int | None, seconds: float) -> str | None:
        """Return the reason why a process that has worked for so long on a job must end, or None."""
        if seconds > self.seconds:
            return f"took longer than {self.seconds:g} s"
        if _resident(pid) > self.gigabytes:
            return f"needed more than {self.gigabytes:g} GB of memory"
        return None


def _resident(pid: int | None) -> float:
    """The resident memory of a process in GB; 0 where the system does not tell."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    return 0.0
