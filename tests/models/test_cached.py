"""Published weights on this machine that are no longer what was published."""

import hashlib
from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.models import cached
from benchmark.models.cached import check_cached

CONTENT = b"weights of somebody"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["torch", "hugging face"])
def fetched(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a fetch has left."""
    if request.param == "torch":
        address = f"https://download.example.org/models/net-{DIGEST[:8]}.pth"
        path = tmp_path / "checkpoints" / f"net-{DIGEST[:8]}.pth"
        monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    else:
        address = "https://huggingface.co/timm/net.a1_in1k/resolve/main/model.safetensors"
        path = tmp_path / "models--timm--net.a1_in1k" / "blobs" / DIGEST
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(cached, "published", lambda _name: address)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def test_what_was_published_passes_and_so_does_what_is_not_here(fetched: Path) -> None:
    check_cached("timm:net")
    fetched.unlink()
    check_cached("timm:net")


def test_a_flipped_bit_is_named(fetched: Path) -> None:
    fetched.write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(BenchError) as caught:
        check_cached("timm:net")
    assert str(caught.value).startswith(f"{fetched}: damaged")
    assert "remove it" in str(caught.value)
