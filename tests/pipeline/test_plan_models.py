"""What keys say of a large model: a library's version, weights from elsewhere; and that own models' keys stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fabricated
import pytest
import yaml

from benchmark.config.params import ModelRef, Params
from benchmark.errors import BenchError
from benchmark.files import sha256
from benchmark.jobs.options import options
from benchmark.jobs.store import Store
from benchmark.pipeline import plan_cache
from benchmark.pipeline.plan import Plan

Make = Callable[..., Plan]


@pytest.fixture
def planned(tiny_params: Path, tmp_path: Path) -> Make:
    """Make a plan of the suite `tiny` with another large model."""

    def make(**model: Any) -> Plan:
        content = yaml.safe_load(tiny_params.read_text())
        content["suites"]["tiny"]["model"] = model
        return Plan(Params.model_validate(content), "tiny", fabricated.DIGESTS, Store(tmp_path / ".jobs"))

    return make


def test_what_a_model_may_have_is_left_out_where_it_has_none() -> None:
    assert options(ModelRef(name="own:vgg16", width=0.5)) == {"name": "own:vgg16", "width": 0.5}
    ref = ModelRef(name="timm:resnet18", options={"drop_rate": 0.1})
    assert options(ref) == {"name": "timm:resnet18", "options": {"drop_rate": 0.1}}


def test_an_own_model_s_spec_is_what_it_was(planned: Make) -> None:
    spec = options(planned(name="own:vgg16", width=0.0625).pretrain_jobs()[0].spec)
    assert sorted(spec) == ["device", "model", "seed", "source", "source_digest", "split", "training"]
    assert spec["model"] == {"name": "own:vgg16", "width": 0.0625}


def test_a_library_s_version_is_in_the_key(planned: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = planned(name="torchvision:resnet18").pretrain_jobs()[0]
    assert options(first.spec)["model"] == {"name": "torchvision:resnet18"}
    assert first.modules == ("benchmark.models",)
    monkeypatch.setattr(plan_cache, "version", lambda name: f"{name}'s next")
    second = planned(name="torchvision:resnet18").pretrain_jobs()[0]
    assert options(second.spec)["library"] == "torchvision torchvision's next"
    assert second.key != first.key


def test_a_file_s_content_is_in_every_key_and_its_place_in_none(planned: Make, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "other", "changed")]
    for place, content in zip(places, (b"weights", b"weights", b"others"), strict=True):
        place.write_bytes(content)
    one, other, changed = (planned(name="own:vgg16", file=str(place)) for place in places)
    jobs = [plan.pretrain_jobs()[0] for plan in (one, other, changed)]
    assert jobs[0].key == jobs[1].key != jobs[2].key
    assert options(jobs[0].spec)["pretrained"] == sha256(b"weights")
    assert "file" not in jobs[0].spec.model
    assert jobs[0].inputs == {"weights": str(places[0])}
    searches = [plan.search_jobs("uniform")[0] for plan in (one, changed, planned(name="own:vgg16"))]
    assert len({job.key for job in searches}) == 3
    assert searches[0].inputs == {}


def test_a_file_that_cannot_be_read_is_named(planned: Make) -> None:
    with pytest.raises(BenchError, match=r"^suites\.tiny\.model\.file: /gone cannot be read"):
        planned(name="own:vgg16", file="/gone").pretrain_jobs()


def test_published_weights_are_known_by_their_address_which_is_asked_once(
    planned: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.models import pretrained

    asked: list[str] = []
    monkeypatch.setattr(pretrained, "published", lambda name: asked.append(name) or "https://example.org/a.pth")
    for _ in range(2):
        job = planned(name="torchvision:resnet18", pretrained=True).pretrain_jobs()[0]
        assert options(job.spec)["pretrained"] == "https://example.org/a.pth"
        assert options(job.spec)["model"] == {"name": "torchvision:resnet18"}
        assert job.inputs == {}
    assert asked == ["torchvision:resnet18"]


def test_a_factory_s_module_is_in_the_key(planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.jobs import fingerprint

    module = tmp_path / "factory_in_a_key.py"
    module.write_text("def make(in_channels, classes, image_size): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    keys = []
    for text in ("return 1", "return 1  # said", "return 2"):
        module.write_text(f"def make(in_channels, classes, image_size): {text}\n")
        fingerprint.forget()
        job = planned(name="python:factory_in_a_key:make").pretrain_jobs()[0]
        assert job.modules == ("factory_in_a_key",)
        keys.append(job.key)
    assert keys[0] == keys[1] != keys[2]
