"""Attack and tell; `python -m benchmark.studies.reliability --help` lists the options."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.analysis import analyse_suite
from benchmark.config.params import load_params
from benchmark.report import report_suite
from benchmark.studies.reliability import damage, kills, suite
from benchmark.studies.reliability.command_lines import WRONG, command_lines
from benchmark.studies.reliability.descriptions import fuzzed
from benchmark.studies.reliability.result_files import altered
from benchmark.studies.reliability.suite import Finding
from benchmark.tracking.projection import experiments


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack a suite of seconds in a temporary folder; returns 1 when something did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.studies.reliability",
        description="Attack a suite of seconds: each kind of attack is listed with its tries and what did not hold.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=200, help="runs, and half as many workers, that are killed")
    parser.add_argument("--jobs", type=int, default=48, help="finished jobs that are damaged")
    parser.add_argument("--files", type=int, default=425, help="result files that are altered")
    parser.add_argument("--descriptions", type=int, default=300, help="altered params.yaml")
    parser.add_argument("--seed", type=int, default=0, help="of all random choices")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return _attack(Path(folder), chosen, random.Random(chosen.seed))


def _attack(folder: Path, chosen: argparse.Namespace, rng: random.Random) -> int:
    root = suite.make(folder / "reference")
    begun = time.monotonic()
    code, told = suite.run(root)
    if code:
        print(f"the undisturbed run ended with exit code {code}: {told}", file=sys.stderr)
        return 1
    seconds, expected = time.monotonic() - begun, suite.left(root)
    print(f"an undisturbed run takes {seconds:.0f} s and leaves {len(expected)} files")
    attacks: list[Callable[[], Finding]] = [
        lambda: fuzzed(folder, chosen.descriptions, rng),
        lambda: command_lines(folder, len(WRONG), rng),
        lambda: _altered(root, chosen.files, rng),
        lambda: damage.damaged_jobs(root, expected, chosen.jobs, rng),
        lambda: damage.damaged_weights(root, expected, rng),
        lambda: kills.together(folder, expected, 3),
        lambda: kills.killed_runs(folder, expected, chosen.kills, seconds, rng),
        lambda: kills.killed_workers(folder, expected, chosen.kills // 2, rng),
        lambda: damage.damaged_data(root, expected, 3, rng),
    ]
    faults = 0
    for attack in attacks:
        finding = attack()
        faults += len(finding.faults)
        print(f"{finding.name}: {finding.tries} tries, {len(finding.faults)} faults", flush=True)
        for fault in finding.faults:
            print(f"  {fault}")
    return 1 if faults else 0


def _altered(root: Path, tries: int, rng: random.Random) -> Finding:
    params = load_params(root / "params.yaml")
    analyse_suite(params, "tiny", root)
    files = [*sorted((root / "reports" / "results" / "tiny").glob("*.json"))]
    readers = [
        lambda: (analyse_suite(params, "tiny", root), report_suite(params, "tiny", root)),
        lambda: experiments(params, root, ["tiny"], None),
    ]
    return altered(files, readers, tries, rng)


if __name__ == "__main__":
    sys.exit(main())
