"""Labelled image sets: one file per data set, prepared once as memory-mapped tensors with a manifest.

`benchmark.data.splits` cuts them into parts and draws the k-shot sets, `benchmark.data.statistics` measures them.
"""

from benchmark.data.base import ImageData
from benchmark.data.manifest import check_manifest, with_splits
from benchmark.data.prepare import load, open_prepared, prepare, slug
from benchmark.data.registry import check_ref, dataset_names

__all__ = [
    "ImageData",
    "check_manifest",
    "check_ref",
    "dataset_names",
    "load",
    "open_prepared",
    "prepare",
    "slug",
    "with_splits",
]
