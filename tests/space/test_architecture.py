import json
import os
import pickle
from pathlib import Path

import networks
import pytest
import torch
from safetensors.torch import save_file

from benchmark.errors import BenchError
from benchmark.space import Architecture

META = {"method": "random", "budget": 0.3, "model": {"name": "own:vgg16"}, "note": "grüße"}


def example(granularity: str = "channel") -> Architecture:
    space = networks.space("vgg16", granularity)
    return space.architecture(networks.random_mask(space, 0), META)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_round_trip(granularity: str, tmp_path: Path) -> None:
    architecture, space = example(granularity), networks.space("vgg16", granularity)
    path = tmp_path / "deep" / "a.safetensors"
    architecture.save(path)
    again = Architecture.load(path)
    assert again.granularity == granularity
    assert again.meta == architecture.meta
    assert list(again.masks) == [group.name for group in space.groups]
    assert again.digest == architecture.digest
    assert torch.equal(space.mask(again), networks.random_mask(space, 0))
    assert again.content() == path.read_bytes()


def test_the_space_writes_what_it_knows() -> None:
    space = networks.space("vgg16", "channel")
    mask = networks.random_mask(space, 0)
    architecture = space.architecture(mask, META | {"params": -1})
    known = {"params": space.params(mask), "macs": space.macs(mask), "complexity": space.complexity(mask)}
    assert architecture.meta == META | known | {"cost": "params", "space": space.digest}
    assert architecture.sizes == {group.name: group.size for group in space.groups}
    assert sum(architecture.kept.values()) == int(mask.sum())


def test_the_digest_is_the_masks() -> None:
    space = networks.space("TwoConvolutions", "channel")
    mask = torch.tensor([True, False, True, True, False])
    other = torch.tensor([False, True, True, True, False])
    assert space.architecture(mask, {"a": 1}).digest == space.architecture(mask, {"b": 2}).digest
    assert space.architecture(mask).digest != space.architecture(other).digest


def test_anybody_can_read_the_file_without_this_package(tmp_path: Path) -> None:
    from safetensors import safe_open

    example().save(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        description = json.loads(file.metadata()["dapbench-architecture"])
        assert description["schema"] == 1 and description["meta"]["method"] == "random"
        assert {name: file.get_tensor(name).dtype for name in file.keys()} == dict.fromkeys(  # noqa: SIM118
            description["groups"], torch.bool
        )


def rewrite(path: Path, **changes: object) -> None:
    """Save the example with another description around the same masks."""
    architecture = example()
    description = {
        "schema": 1,
        "granularity": "channel",
        "groups": list(architecture.masks),
        "digest": architecture.digest,
        "meta": {},
    }
    description.update(changes)
    save_file(architecture.masks, path, {"dapbench-architecture": json.dumps(description)})


def truncate(path: Path, size: int) -> None:
    example().save(path)
    path.write_bytes(path.read_bytes()[:size])


def other_mask(path: Path) -> None:
    rewrite(path, digest="0" * 64)


BAD_FILES = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "not a safetensors file"),
    "text": (lambda path: path.write_text("method: dap\n"), "not a safetensors file"),
    "JSON": (lambda path: path.write_text('{"masks": {"conv": [true, false]}}'), "not a safetensors file"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "looks like a pickle; never loaded"),
    "torch.save": (lambda path: torch.save({"a": torch.ones(2)}, path), "looks like a pickle; never loaded"),
    "cut in the header": (lambda path: truncate(path, 100), "truncated"),
    "cut in the masks": (lambda path: truncate(path, -10), "truncated"),
    "foreign": (lambda path: save_file({"w": torch.ones(2)}, path), "not one with a dapbench architecture"),
    "newer": (lambda path: rewrite(path, schema=2), "schema 2, this version reads 1; update dapbench"),
    "changed": (other_mask, "masks do not match its digest"),
    "no groups": (lambda path: rewrite(path, groups=None), "description is damaged"),
    "unknown group": (lambda path: rewrite(path, groups=["conv"]), "description is damaged"),
    "a list": (
        lambda path: save_file({"w": torch.ones(2)}, path, {"dapbench-architecture": "[1]"}),
        "description is damaged",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    make, message = BAD_FILES[case]
    path = tmp_path / "a.safetensors"
    make(path)
    with pytest.raises(BenchError) as caught:
        Architecture.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and message in text and "\n" not in text


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BenchError):
        Architecture.load(path)
    assert not (tmp_path / "sprung").exists()


def test_an_architecture_of_another_model_is_refused() -> None:
    space = networks.space("vgg16", "channel")
    with pytest.raises(BenchError, match="has weight units, this search space channel units"):
        space.mask(example("weight"))
    other = networks.space("resnet20", "channel")
    with pytest.raises(BenchError, match=r"made for another model \(group features.0: 0 units there, 8 here\)"):
        space.mask(other.architecture(torch.ones(other.n)))
    same_groups = Architecture("channel", example().masks, {"space": "0" * 64})
    with pytest.raises(BenchError, match="other parameter shapes"):
        space.mask(same_groups)


def test_an_empty_group_is_refused() -> None:
    space = networks.space("TwoConvolutions", "channel")
    with pytest.raises(BenchError, match="group second keeps no unit; keep at least one of its 3"):
        space.architecture(torch.tensor([1, 0, 0, 0, 0]))


def test_the_space_digest_tells_models_apart() -> None:
    cases = [(name, granularity) for name in networks.NAMES for granularity in ("channel", "weight")]
    assert len({networks.space(*case).digest for case in cases}) == len(cases)
    fresh = networks.build_space(networks.network("vgg16"), networks.example("vgg16"), "channel", "macs")
    assert fresh.digest == networks.space("vgg16", "channel").digest
