"""A method's results on a suite as one file that anybody can check."""

import base64
import zlib
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from benchmark.analysis.result_files import Searches, read_part
from benchmark.analysis.seal import sealed
from benchmark.analysis.submission import KIND, SCHEMA
from benchmark.config.params import Params, SuiteConfig
from benchmark.errors import BenchError, unknown
from benchmark.files import read_json
from benchmark.pipeline.stages import Places
from benchmark.pruning.registry import pruner

# What of a suite's section decides its rows, whichever methods run.
PARAMETERS = ("data", "model", "grid", "training", "transfer", "tuning")


def submission(params: Params, suite: str, method: str, root: Path = Path()) -> dict[str, Any]:
    """Return the content of the file, from what the stages `search` and `transfer` wrote below `root`.

    Rows of controls are left out: their architectures are not published. Raises `BenchError` for a suite or method that
    does not exist, and where a file of the pipeline is absent.
    """
    if suite not in params.suites:
        raise unknown("suite", suite, params.suites, "--suite")
    kind, places = pruner(method, "--method"), Places(root)
    if method not in params.methods_of(suite):
        raise BenchError(f"--method: {method} does not run in {suite}; add it to run.methods and run the suite first")
    searched = places.results(suite, f"{method}.search.json")
    found, search = read_part(searched, Searches)
    results = read_json(places.results(suite, f"{method}.json"))
    return sealed(
        {
            "schema": SCHEMA,
            "kind": KIND,
            "suite": suite,
            "method": method,
            "package": package(kind),
            "settings": params.method(method).model_dump(mode="json"),
            "suite_settings": params.suites[suite].method(method).model_dump(mode="json"),
            "parameters": parameters(params.suites[suite]),
            "results": results | {"rows": [row for row in results["rows"] if not row["arm"]]},
            "search": search,
            "architectures": {
                entry["digest"]: packed(root / known.file)
                for entry, known in zip(search["architectures"], found.architectures, strict=True)
            },
        }
    )


def parameters(config: SuiteConfig) -> dict[str, Any]:
    """Return the part of a suite's section that submitted rows depend on."""
    content = config.model_dump(mode="json")
    return {name: content[name] for name in PARAMETERS}


def package(kind: type) -> dict[str, str]:
    """Return name and version of the distribution that a class came from; no version where it is not installed."""
    module = kind.__module__.partition(".")[0]
    names = packages_distributions().get(module)
    return {"name": names[0], "version": version(names[0])} if names else {"name": module, "version": ""}


def packed(path: Path) -> str:
    """Return an architecture file as text; `BenchError` where it is absent."""
    if not path.is_file():
        raise BenchError(f"{path}: no such file; `dapbench run` writes it beside the results")
    return base64.b64encode(zlib.compress(path.read_bytes(), 9)).decode()
