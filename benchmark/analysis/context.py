"""What a suite's results say beside accuracies: the targets' classes and near-duplicates, the learning rates chosen."""

from pathlib import Path
from typing import Any

from benchmark.analysis.result_files import DataFile, Tuning, read_part
from benchmark.config.params import SuiteConfig


def data(config: SuiteConfig, results: Path) -> dict[str, Any]:
    """Return for every target its images, the accuracy of guessing, and its near-duplicates in the source.

    Reads data.json in `results`. `chance` is 1 / classes of one task, `near_duplicates` the report of
    `benchmark.data.statistics.near_duplicates` without its pairs, null where none was made. Empty without the file.
    """
    path, found = results / "data.json", {}
    content = read_part(path, DataFile)[1] if path.exists() else {}
    for target in config.data.targets:
        manifest = content.get("targets", {}).get(target.label)
        if manifest is None:
            continue
        alike = content.get("near_duplicates", {}).get(target.label)
        found[target.label] = {
            "images": manifest["count"],
            "chance": 1 / (target.ways or len(manifest["classes"])),
            "near_duplicates": alike and {name: value for name, value in alike.items() if name != "closest"},
        }
    return found


def tuning(results: Path) -> list[dict[str, Any]]:
    """Return the learning rates of tuning.json in `results`: granularity, budget, kind, lr and what was tried."""
    path, names = results / "tuning.json", ("granularity", "budget", "kind", "lr", "tried")
    rates = read_part(path, Tuning)[1]["rates"] if path.exists() else []
    return [{name: entry[name] for name in names} for entry in rates]
