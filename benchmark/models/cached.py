"""Published weights as an earlier fetch left them on this machine: compared with their own hash before they are used.

Their libraries compare what they fetch, and never what they find.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

from benchmark.errors import BenchError
from benchmark.files import file_sha256
from benchmark.models.pretrained import published

HUGGING_FACE = "huggingface.co"
NAMED = re.compile(r"-([0-9a-f]{8,64})\.")  # the beginning of a file's SHA-256, in PyTorch's and timm's file names


def check_cached(name: str) -> None:
    """Raise `BenchError` when weights that were fetched for a model of torchvision or timm are not what they were.

    Nothing is fetched; a model of which nothing is here passes.
    """
    for path, expected in _known(published(name)):
        if not file_sha256(path).startswith(expected):
            raise BenchError(f"{path}: damaged, not the published weights of {name}; remove it, and it is fetched anew")


def _known(address: str) -> Iterator[tuple[Path, str]]:
    """The files that a fetch from this address left, each with the beginning of its SHA-256."""
    place = urlparse(address)
    if place.hostname == HUGGING_FACE:
        from huggingface_hub.constants import HF_HUB_CACHE

        owner, model, *_ = place.path.strip("/").split("/")
        # What the hub keeps large files for is named by its content.
        blobs = Path(HF_HUB_CACHE) / f"models--{owner}--{model}" / "blobs"
        yield from ((blob, blob.name) for blob in sorted(blobs.glob("*")) if re.fullmatch("[0-9a-f]{64}", blob.name))
        return
    from torch import hub

    path = Path(hub.get_dir()) / "checkpoints" / Path(place.path).name
    found = NAMED.search(path.name)
    if found is not None and path.is_file():
        yield path, found[1]
