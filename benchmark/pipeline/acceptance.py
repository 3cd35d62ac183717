"""Whether a file of results may stand beside a suite: what can be computed again from its architectures is."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from benchmark.analysis.audit import OF_ONE_METHOD, audit
from benchmark.analysis.contributed import contributed_file, joined
from benchmark.analysis.result_files import DataFile, read_part
from benchmark.analysis.submission import Submission, read_submission, refused
from benchmark.analysis.summary import beside_dense
from benchmark.config.params import Params
from benchmark.errors import unknown
from benchmark.files import read_json, write_json
from benchmark.pipeline.plan import Digests
from benchmark.pipeline.stages import Places
from benchmark.pipeline.submit import parameters
from benchmark.pipeline.unpacking import unpack
from benchmark.pruning.looks import RIVALS, STUDIED
from benchmark.pruning.registry import pruners

RENAME = "give the method another name, in its class too"
AGAIN = "compute the rows with this repository's params.yaml and data"
WHOLE = "run the whole suite and make the file again with `dapbench submit`"


def accepted(params: Params, path: Path, root: Path = Path(), new: bool = True) -> Submission:
    """Return a checked file of results; `BenchError` names the file, the key, what is wrong and the remedy.

    The rows must lie on the suite's grid, and its parameters and data be those of `params` and of the committed
    manifests. All that is said of the architectures is counted again. The rules of the audit that one method can break
    must be kept. `new`: the method's name must be free. No code of the method runs.
    """
    found = read_submission(path)
    if found.suite not in params.suites:
        raise unknown("suite", found.suite, params.suites, f"{path}: suite")
    if new:
        _check_name(params, path, found, root)
    _check_suite(params, path, found, root)
    _check_grid(params, path, found)
    with tempfile.TemporaryDirectory() as folder:
        unpack(params, path, found, root, Path(folder))
    main, *others = beside_dense(params, found, root)
    for finding in audit(joined(params, found), found.suite, main, others, OF_ONE_METHOD):
        if not finding.passed:
            raise refused(path, "results.rows", f"breaks the rule {finding.rule!r} ({finding.detail})", WHOLE)
    return found


def store(path: Path, found: Submission, root: Path = Path()) -> Path:
    """Write an accepted file to its place below reports/contributed, where it may be already; returns the place."""
    place = contributed_file(root, found.suite, found.method)
    if path.resolve() != place.resolve():
        write_json(place, read_json(path))
    return place


def _check_name(params: Params, path: Path, found: Submission, root: Path) -> None:
    # A package that is installed here may well be the one whose results these are.
    own = {name for name, kind in pruners().items() if kind.__module__.startswith((f"{RIVALS}.", STUDIED))}
    if found.method in own or found.method in params.run.methods:
        raise refused(path, "method", f"{found.method!r} is a method of this repository", RENAME)
    place = contributed_file(root, found.suite, found.method)
    if place.exists() and path.resolve() != place.resolve():
        raise refused(path, "method", f"{place} is there already", f"{RENAME}, or remove the old file")


def _check_suite(params: Params, path: Path, found: Submission, root: Path) -> None:
    for name, value in parameters(params.suites[found.suite]).items():
        if found.parameters.get(name) != value:
            raise refused(path, f"parameters.{name}", f"not the suite {found.suite} of params.yaml", AGAIN)
    if spare := found.parameters.keys() - parameters(params.suites[found.suite]).keys():
        raise refused(path, f"parameters.{min(spare)}", "no such section", AGAIN)
    data = found.results.provenance.data
    known = Digests.of(read_part(Places(root).results(found.suite, "data.json"), DataFile)[1])
    if Digests(data.source, data.targets) != known:
        raise refused(path, "results.provenance.data", "not the data that the suite's results are of", AGAIN)


def _check_grid(params: Params, path: Path, found: Submission) -> None:
    config = params.suites[found.suite]
    grid, transfer = config.grid, config.transfer
    targets = {target.label: target for target in config.data.targets}
    shared: dict[str, Collection[object]] = {
        "variant": ["", *found.settings.variants],
        "granularity": grid.granularities,
        "cost": grid.costs,
        "budget": grid.budgets,
        "seed": grid.seeds,
    }
    for at, entry in enumerate(found.search.architectures):
        _check_axes(path, f"search.architectures.{at}", entry, shared)
    for at, row in enumerate(found.results.rows):
        key, once = f"results.rows.{at}", row.weights == "inherit"
        _check_axes(path, key, row, {"model": [config.model.name], "target": targets})
        target = targets[row.target]
        own: dict[str, Collection[object]] = {
            "weights": transfer.weights,
            "shots": config.shots(target),
            "measure": transfer.measures,
            "draw": range(config.draws(target) if row.measure == "finetune" else 1),
            "retraining": range(1 if once else transfer.retrainings),
        }
        _check_axes(path, key, row, own)


def _check_axes(path: Path, key: str, record: object, axes: dict[str, Collection[object]]) -> None:
    for name, known in axes.items():
        value = getattr(record, name)
        if value not in known:
            raise refused(path, f"{key}.{name}", f"{value!r} is not in the suite: {', '.join(map(str, known))}", AGAIN)
