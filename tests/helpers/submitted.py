"""A file of results on the tiny suite whose architectures are real and whose accuracies nobody computed."""

import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import models
from benchmark.analysis.rows import Row, write_results
from benchmark.analysis.seal import SEAL, sealed
from benchmark.config.params import Params, load_params
from benchmark.files import write_json
from benchmark.pipeline import submit
from benchmark.provenance import provenance
from benchmark.space import Architecture, SearchSpace, build_space

METHOD = "mine"
IMAGES = 100  # that every network is said to be retrained on
DIGESTS = {"source": "a" * 64, "targets": {"digits-3-5": "b" * 64}}
Content = dict[str, Any]


class Mine:
    """Stands for the pruner's class, of a package that is not installed here."""


Mine.__module__ = "my_pruner.search"


def furnish(root: Path, params: Params) -> None:
    """Write the suite's manifests and the dense control's rows below `root`."""
    results = root / "reports" / "results" / "tiny"
    known = {"name": "digits", "source": "made up", "count": 50, "shape": [1, 8, 8], "classes": ["0", "1", "2"]}
    source = known | {"digest": DIGESTS["source"]}
    targets = {label: known | {"digest": digest} for label, digest in DIGESTS["targets"].items()}
    write_json(results / "data.json", {"schema": 1, "source": source, "targets": targets})
    rows = []
    for granularity in params.suites["tiny"].grid.granularities:
        space = space_of(params, granularity)
        whole = space.architecture(torch.ones(space.n, dtype=torch.bool))
        for seed in params.suites["tiny"].grid.seeds:
            rows += _rows(params, "dense", whole, 1.0, seed)
    write_results(results / "dense.json", rows, provenance() | {"data": DIGESTS})


def submitted(root: Path, text: str) -> tuple[Params, Content]:
    """Write the suite of `text` below `root`; returns its parameters and a file of results that is in order."""
    (root / "params.yaml").write_text(text)
    params = load_params(root / "params.yaml")
    furnish(root, params)
    with pytest.MonkeyPatch.context() as monkeypatch:
        return params, submission(root, params, monkeypatch)


def submission(root: Path, params: Params, monkeypatch: Any) -> Content:
    """Return what `dapbench submit` makes of the files of METHOD, which are written below `root` first."""
    results, architectures, rows = root / "reports" / "results" / "tiny", [], []
    grid = params.suites["tiny"].grid
    for granularity in grid.granularities:
        space = space_of(params, granularity)
        for seed in grid.seeds:
            scores = torch.rand(space.n, generator=torch.Generator().manual_seed(seed))
            for budget in sorted(grid.budgets, reverse=True):
                found = space.architecture(space.project(scores, budget), {"budget": budget, "seed": seed})
                file = f"artifacts/tiny/search/{METHOD}/{granularity}-s{seed}-b{budget:g}.safetensors"
                found.save(root / file)
                architectures.append(entry(found, granularity, seed, budget, file))
                rows += _rows(params, METHOD, found, budget, seed)
    write_results(results / f"{METHOD}.json", rows, provenance() | {"data": DIGESTS})
    write_json(results / f"{METHOD}.search.json", {"schema": 1, "architectures": architectures, "traces": []})
    monkeypatch.setattr(submit, "pruner", lambda *_: Mine)
    run = params.run.model_copy(update={"methods": [*params.run.methods, METHOD]})
    return submit.submission(params.model_copy(update={"run": run}), "tiny", METHOD, root)


def space_of(params: Params, granularity: str) -> SearchSpace:
    network = models.build(params.suites["tiny"].model, 1, 3, 8)
    return build_space(network, torch.zeros(1, 1, 8, 8), granularity)


def entry(found: Architecture, granularity: str, seed: int, budget: float, file: str) -> Content:
    return {
        "method": METHOD,
        "variant": "",
        "granularity": granularity,
        "cost": "params",
        "seed": seed,
        "budget": budget,
        **{name: found.meta[name] for name in ("complexity", "params", "macs")},
        "kept": found.kept,
        "sizes": found.sizes,
        "digest": found.digest,
        "origin": "",
        "file": file,
        "search_cell": "c",
        "reference": "Nobody 2026",
    }


def resealed(content: Content) -> Content:
    """The content with the checksum of a file that was written so."""
    return sealed({key: value for key, value in content.items() if key != SEAL})


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def replaced(content: Content, change: Callable[[Architecture], Architecture]) -> None:
    """Put another architecture in the place of the first, wherever the file names it."""
    first = content["search"]["architectures"][0]["digest"]
    found = change(unpacked(content["architectures"].pop(first)))
    content["architectures"][found.digest] = packed(found.content())
    for record in content["search"]["architectures"]:
        record["digest"] = found.digest if record["digest"] == first else record["digest"]
    for row in content["results"]["rows"]:
        row["architecture"] = found.digest if row["architecture"] == first else row["architecture"]


def unpacked(text: str) -> Architecture:
    from benchmark.space.safetensors_file import decode

    described, masks = decode("architecture", zlib.decompress(base64.b64decode(text)), "here")
    return Architecture(
        described["granularity"], {name: masks[name] for name in described["groups"]}, described["meta"]
    )


def _rows(params: Params, method: str, found: Architecture, budget: float, seed: int) -> list[Row]:
    transfer = params.suites["tiny"].transfer
    return [
        Row(
            suite="tiny",
            model="own:vgg16",
            method=method,
            variant="",
            granularity=found.granularity,  # type: ignore[arg-type]
            cost="params",
            budget=budget,
            complexity=found.meta["complexity"],
            seed=seed,
            weights=weights,
            target="digits-3-5",
            shots=shots,
            draw=draw,
            arm="",
            accuracy=0.4 + 0.1 * budget + 0.02 * seed + 0.01 * draw,
            source_accuracy=None if weights == "scratch" else 0.9,
            params=found.meta["params"],
            macs=found.meta["macs"],
            search_flops=10,
            train_flops=6 * IMAGES * found.meta["macs"],
            cell="c",
            pretrain_flops=7,
            search_cell="c",
            architecture=found.digest,
        )
        for weights in transfer.weights
        for shots in transfer.shots
        for draw in range(transfer.draws)
    ]
