"""The figures of a suite."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmark.report import studies
from benchmark.report.figures import style
from benchmark.report.figures.accuracy import accuracy, by_target, variants
from benchmark.report.figures.architectures import architectures
from benchmark.report.figures.compute import compute
from benchmark.report.figures.controls import arms
from benchmark.report.figures.costs import costs
from benchmark.report.figures.dynamics import dynamics
from benchmark.report.figures.endpoints import primary
from benchmark.report.figures.study import study
from benchmark.report.figures.weights import weights
from benchmark.report.view import View


def draw(view: View, kept: list[dict[str, Any]], traces: list[dict[str, Any]], folder: Path) -> list[str]:
    """Write every figure of a suite as SVG and PNG into `folder`; returns their names.

    `kept` from `benchmark.report.layers.layers`, `traces` of DAP's search file. The first granularity's
    architectures and dynamics have plain names, further ones end in "-GRANULARITY". A figure that has
    nothing to show is not written, and an old one of that name is removed.
    """
    with style.context():
        figures: dict[str, Figure | None] = {
            "accuracy": accuracy(view),
            "costs": costs(view),
            "variants": variants(view),
            "weights": weights(view),
        }
        for index, granularity in enumerate(view.granularities):
            figures[f"accuracy-{granularity}"] = by_target(view, granularity)
            ending = f"-{granularity}" if index else ""
            figures[f"architectures{ending}"] = architectures(view, kept, granularity)
            figures[f"dynamics{ending}"] = dynamics(view, traces, granularity)
        figures["compute"] = compute(view)
        figures["arms"] = arms(view)
        figures["primary"] = primary(view)
        figures |= {f"study-{name}": study(view, name) for name in studies.names(view)}
        figures |= {old.stem: None for old in folder.glob("study-*.svg") if old.stem not in figures}
        for name, figure in figures.items():
            if figure is None:
                # One of an earlier run, with other parameters, must not pass for a result of this one.
                for ending in ("svg", "png"):
                    (folder / f"{name}.{ending}").unlink(missing_ok=True)
            else:
                style.save(figure, folder / name)
    return [name for name, figure in figures.items() if figure is not None]
