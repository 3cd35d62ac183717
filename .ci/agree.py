"""Check that the committed analysis, tables, figures, page and README are what the committed results give.

All of it is made again in a temporary folder. Text and SVG must be equal byte for byte; PNG may differ by a rounding
of the rasteriser. Exits 1 and names every file that differs.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.analysis import analyse_suite
from benchmark.config.params import load_params
from benchmark.report import blocks, method_list, readme, report_page, report_suite
from benchmark.studies.zoo import report as zoo

ROOT = Path(__file__).parents[1]
MADE = ("analysis", "slices", "tables", "figures")
LEVELS = 8  # of 255, for a pixel to count as different
SHARE = 0.001  # of the pixels may


def same(ours: Path, theirs: Path) -> bool:
    """Return whether two files show the same."""
    if ours.suffix != ".png":
        return ours.read_bytes() == theirs.read_bytes()
    a, b = (np.asarray(Image.open(path).convert("RGB"), dtype=np.int16) for path in (ours, theirs))
    return a.shape == b.shape and float((abs(a - b).max(axis=-1) > LEVELS).mean()) <= SHARE


def files(folder: Path) -> set[Path]:
    """Return the files below a folder, relative to it."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def outdated(root: Path, published: bool = False) -> list[str]:
    """Return the files below `root`/reports that are not what its params.yaml and result files give.

    The page, and the blocks of results and methods in the README, are in git only of what is `published`.
    """
    params = load_params(root / "params.yaml")
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        for folder in ("results", "contributed"):
            if (root / "reports" / folder).exists():
                shutil.copytree(root / "reports" / folder, made / "reports" / folder)
        for suite in params.run.suites:
            analyse_suite(params, suite, made)
            report_suite(params, suite, made)
        if published:
            report_page(params, made)
        for folder in [Path(kind) / suite for kind in MADE for suite in params.run.suites]:
            ours, theirs = made / "reports" / folder, root / "reports" / folder
            for path in sorted(files(ours) | files(theirs)):
                both = (ours / path).exists() and (theirs / path).exists()
                if not both or not same(ours / path, theirs / path):
                    wrong.append(f"{(root / 'reports' / folder / path).relative_to(ROOT)}")
        if published and not same(made / "reports" / "index.html", root / "reports" / "index.html"):
            wrong.append(f"{(root / 'reports' / 'index.html').relative_to(ROOT)}")
    if published:
        blocks_of = (readme, method_list)
        wrong += [f"README.md (its {b.BLOCK} block)" for b in blocks_of if not b.check(root / "README.md", params)]
    return wrong


def main() -> int:
    """Compare, and return the exit code."""
    wrong = [*outdated(ROOT, published=True), *outdated(ROOT / "reports" / "tuning")]
    rows = ROOT / "reports" / zoo.NAME
    if not zoo.agrees(rows.parent):
        wrong.append("reports/zoo.md")
    if not blocks.holds(ROOT / "README.md", "zoo", lambda: zoo.summary(zoo.read(rows))):
        wrong.append("README.md (its zoo block)")
    for differing in wrong:
        print(f"differs: {differing}", file=sys.stderr)
    if wrong:
        print("error: not what the committed results give; run make reproduce and commit it", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
