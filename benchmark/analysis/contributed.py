"""Results that others computed (reports/contributed/SUITE): shown beside the suite, compared with nothing.

Their processors are not the suite's, and rounding alone moves an accuracy by points, so no test pairs them with it.
"""

from pathlib import Path

from benchmark.analysis.submission import Submission, read_submission
from benchmark.config.params import Params
from benchmark.protocol.controls import DENSE


def contributed_file(root: Path, suite: str, method: str) -> Path:
    """Return where a method's contributed results on a suite are."""
    return root / "reports" / "contributed" / suite / f"{method}.json"


def submissions(root: Path, suite: str) -> list[Submission]:
    """Read all contributed results on a suite, by the method's name."""
    folder = contributed_file(root, suite, "").parent
    return [read_submission(path) for path in sorted(folder.glob("*.json"))]


def joined(params: Params, found: Submission) -> Params:
    """Return parameters whose suite runs the dense control, if it did, and the contributed method as it was set.

    Its variants answer no study here: those compare within a suite.
    """
    config = params.suites[found.suite]
    methods = [name for name in params.methods_of(found.suite) if name == DENSE] + [found.method]
    plain = {name: variant.model_copy(update={"study": None}) for name, variant in found.settings.variants.items()}
    own = {"methods": {found.method: found.suite_settings}, "exclude": [], "primary": []}
    return params.model_copy(
        update={
            "run": params.run.model_copy(update={"methods": methods}),
            "methods": params.methods | {found.method: found.settings.model_copy(update={"variants": plain})},
            "suites": params.suites | {found.suite: config.model_copy(update=own)},
        }
    )
