"""What a result was made with: machine, interpreter and libraries; the same whenever it is asked on one machine."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("dapbench", "torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


@cache
def provenance(device: str = "cpu") -> dict[str, Any]:
    """Return `machine`, `python`, `libraries` and `device` as JSON: nothing that names a host, a user or a path."""
    return {
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cpu": _cpu(),
            # Libraries choose kernels by it, and names such as "AMD EPYC" are those of several.
            **({"cpu_model": model} if (model := _cpu_model()) else {}),
            "cores": os.cpu_count(),
            "memory_gb": _memory_gb(),
        },
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "device": _device_name(device),
    }


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.CalledProcessError):
            return subprocess.check_output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    return platform.processor() or platform.machine()


def _cpu_model() -> str:
    """Family and model number where Linux tells them, as "family 25, model 17"."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "cpu family" in said and "model" in said:
            return f"family {said['cpu family']}, model {said['model']}"
    return ""


def _memory_gb() -> int:
    """Memory of the machine in 10^9 bytes, rounded."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)
