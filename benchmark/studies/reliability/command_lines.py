"""Command lines that cannot be meant: exit code 2, and one line that names what to mend."""

import random
from collections.abc import Callable
from pathlib import Path

from benchmark.studies.reliability import suite
from benchmark.studies.reliability.suite import Finding

# The exit code of a command line in a folder, and what it said on stderr.
Call = Callable[[Path, str], tuple[int, str]]
# What is wrong, and what the line must name.
WRONG = {
    "nonsense": "nonsense",
    "validate --suite nowhere": "nowhere",
    "validate --params missing.yaml": "missing.yaml",
    "validate --params .": ".",
    "validate extra": "extra",
    "run --suite nowhere": "nowhere",
    "run --suite tiny --method nobody": "nobody",
    "run --suite tiny --seeds one": "--seeds",
    "run --suite tiny --seeds -1": "seeds",
    "run --suite tiny --budgets 0": "budgets",
    "run --suite tiny --budgets 2": "budgets",
    "run --suite tiny --budgets nan": "budgets",
    "run --suite tiny --granularity atoms": "granularit",
    "run --workers 0": "--workers",
    "run --workers many": "--workers",
    "run --suite": "--suite",
    "run --colour red": "--colour",
    "report --suite nowhere": "nowhere",
    "report --suite tiny": "results",
    "track --suite nowhere": "nowhere",
    "track --uri": "--uri",
    "stage nothing --suite tiny": "nothing",
    "stage search --suite tiny --method nobody": "nobody",
    "stage search": "--suite",
    "stage analyse --suite tiny": "results",
    "search --suite tiny --method nobody": "nobody",
    "search --suite nowhere --method random": "nowhere",
    "search --suite tiny --method random --granularity atoms": "--granularity",
    "search --suite tiny --method random --budget 5": "--budget",
    "search --suite tiny --method random --budget nan": "--budget",
    "search --suite tiny --method random --seed -5": "--seed",
    "search --suite tiny --method random --variant none": "--variant",
    "search --suite tiny": "--method",
    "transfer": "ARCHITECTURE-FILE",
    "transfer missing.safetensors --suite tiny": "missing.safetensors",
    "transfer params.yaml --suite tiny": "params.yaml",
    "transfer params.yaml --suite tiny --weights heavy": "--weights",
    "transfer . --suite tiny": ".",
    "show missing.safetensors": "missing.safetensors",
    "show params.yaml": "params.yaml",
    "show .": ".",
    "show": "ARCHITECTURE-FILE",
    "extract missing.safetensors": "missing.safetensors",
    "extract params.yaml --out x.json": "params.yaml",
    "extract params.yaml --width wide": "--width",
    "measure": "NETWORK-FILE",
    "measure missing.safetensors": "missing.safetensors",
    "measure params.yaml": "params.yaml",
    "measure params.yaml --device tpu": "--device",
    "measure params.yaml --batch 0": "--batch",
    "measure params.yaml --repeats 1": "--repeats",
    "recheck --suite nowhere": "nowhere",
    "reproduce --suite nowhere": "nowhere",
    "models nowhere:": "nowhere",
}


def command_lines(folder: Path, tries: int, rng: random.Random, call: Call = suite.call) -> Finding:
    """Call dapbench in a folder without results, with `tries` of the wrong command lines (all, if there are fewer)."""
    chosen = list(WRONG) if tries >= len(WRONG) else rng.sample(list(WRONG), tries)
    finding = Finding("command lines", len(chosen))
    root = suite.make(folder / "command-lines")
    for line in chosen:
        code, told = call(root, line)
        errors = [one for one in told.splitlines() if one.startswith("error:")]
        if code != 2 or len(errors) != 1 or WRONG[line] not in errors[0]:
            finding.faults.append(f"dapbench {line}: exit code {code}, {told[-300:]!r}")
    return finding
