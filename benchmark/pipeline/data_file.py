"""What `data.json` says of a suite's data: manifests, the parts of every split, and images that two sets share."""

from pathlib import Path
from typing import Any

from benchmark.config.params import SuiteConfig, TargetRef
from benchmark.data import open_prepared, with_splits
from benchmark.data.splits import split_source, split_target
from benchmark.data.statistics import near_duplicates
from benchmark.seeds import derive


def content(manifests: dict[str, Any], config: SuiteConfig, folder: Path) -> dict[str, Any]:
    """Return `source`, and `targets` and `near_duplicates` by label, of data sets that are prepared in `folder`."""
    data = config.data
    source = open_prepared(data.source, folder).images
    return {
        "source": _with_parts(manifests["source"], config, folder),
        "targets": {
            target.label: _with_parts(manifests["targets"][target.label], config, folder, target)
            for target in data.targets
        },
        "near_duplicates": {
            target.label: near_duplicates(source, open_prepared(target, folder).images) for target in data.targets
        },
    }


def _with_parts(
    manifest: dict[str, Any], config: SuiteConfig, folder: Path, target: TargetRef | None = None
) -> dict[str, Any]:
    """The manifest of a target (of the source without one), with the parts that each of the suite's seeds makes."""
    seeds = config.grid.seeds
    if target is None:
        images = open_prepared(config.data.source, folder)
        parts: dict[int, Any] = {
            seed: split_source(images.labels, config.data.split, derive(seed, "split"), images.groups) for seed in seeds
        }
    else:
        images = open_prepared(target, folder)
        pool = config.pool(target)
        parts = {
            seed: split_target(images.labels, pool, derive(seed, "target", target.label), images.groups, target.test)
            for seed in seeds
        }
    return with_splits(manifest, parts)
