"""Files of results that are refused, each for one thing, and one that is not."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from submitted import METHOD, Content, packed, replaced, resealed, submitted

from benchmark.analysis.contributed import submissions
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.files import write_json
from benchmark.pipeline.acceptance import accepted, store

Change = Callable[[Content], None]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> tuple[Params, Path, Content]:
    """The suite's parameters, a folder with its results, and the content of a file that is in order."""
    root = tmp_path_factory.mktemp("suite")
    params, content = submitted(root, tiny_text)
    return params, root, content


def test_a_file_in_order_is_accepted_and_stored_as_it_is(written: tuple[Params, Path, Content], tmp_path: Path) -> None:
    params, root, content = written
    write_json(tmp_path / "x.json", content)
    found = accepted(params, tmp_path / "x.json", root)
    # 2 granularities x 2 seeds x 2 budgets x 3 weights modes x 2 shots x 2 draws
    assert (found.method, len(found.results.rows), len(found.architectures)) == (METHOD, 96, 8)
    assert (found.package.name, found.package.version) == ("my_pruner", "")
    place = store(tmp_path / "x.json", found, tmp_path)
    assert place == tmp_path / "reports" / "contributed" / "tiny" / "mine.json"
    assert json.loads(place.read_text()) == content
    assert submissions(tmp_path, "tiny") == [found]
    # Where it belongs it is checked as any other file.
    assert accepted(params, place, root) == found


def rows(name: str, value: Any, at: int | None = 0) -> Change:
    """Give one row, or all, another value; a function makes it from the old one."""

    def change(content: Content) -> None:
        for row in content["results"]["rows"] if at is None else [content["results"]["rows"][at]]:
            row[name] = value(row[name]) if callable(value) else value

    return change


def first(name: str, value: Any) -> Change:
    return lambda content: content["search"]["architectures"][0].update({name: value})


def both(name: str, value: Any) -> Change:
    """The first architecture and its rows say the same wrong thing."""

    def change(content: Content) -> None:
        entry = content["search"]["architectures"][0]
        for record in [row for row in content["results"]["rows"] if row["architecture"] == entry["digest"]]:
            record[name] = value
        entry[name] = value

    return change


def over_budget(content: Content) -> None:
    """What was found for half of the parameters is handed in for a tenth."""
    large, small = content["search"]["architectures"][:2]
    for row in content["results"]["rows"]:
        if row["architecture"] == small["digest"]:
            row |= {"architecture": large["digest"]} | {n: large[n] for n in ("params", "macs", "complexity")}
    content["architectures"].pop(small["digest"])
    small |= {name: value for name, value in large.items() if name not in ("budget", "file")}


def one_unit_fewer(content: Content) -> None:
    def change(found: Any) -> Any:
        name = next(iter(found.masks))
        return replace(found, masks={**found.masks, name: found.masks[name][1:]})

    replaced(content, change)


def emptied(content: Content) -> None:
    def change(found: Any) -> Any:
        name = next(iter(found.masks))
        return replace(found, masks={**found.masks, name: found.masks[name] & False})

    replaced(content, change)


def other_units(content: Content) -> None:
    """A mask that is not the one whose digest it goes by."""
    found = content["architectures"]
    digest = content["search"]["architectures"][0]["digest"]
    found[digest] = next(text for key, text in found.items() if key != digest)


def named(name: str) -> Change:
    def change(content: Content) -> None:
        content["method"] = name
        for record in [*content["results"]["rows"], *content["search"]["architectures"]]:
            record["method"] = name

    return change


def architecture(text: str) -> Change:
    return lambda content: content["architectures"].update({content["search"]["architectures"][0]["digest"]: text})


def drop_last(content: Content) -> None:
    content["results"]["rows"].pop()


def repeat(content: Content) -> None:
    content["results"]["rows"].append(content["results"]["rows"][0])


def data(content: Content) -> None:
    content["results"]["provenance"]["data"]["source"] = "c" * 64


def longer(content: Content) -> None:
    content["parameters"]["training"]["steps"] = 7


REFUSED: list[tuple[Change, str, str]] = [
    (over_budget, "search.architectures.1.budget", "0.1 is exceeded: the architecture costs 0.49"),
    (one_unit_fewer, "architectures.", "made for another model (group features.0: 3 units there, 4 here)"),
    (emptied, "architectures.", "group features.0 keeps no unit"),
    (other_units, "architectures.", "holds the architecture"),
    (architecture("!"), "architectures.", "not base 64 of a zlib stream"),
    (architecture(packed(b"0" * 2**24)), "architectures.", "cut off, or larger than a mask of"),
    (architecture(packed(b"\x80\x04K\x01.        ")), "architectures.", "looks like a pickle; never loaded"),
    (rows("accuracy", 1.01), "results.rows.0.accuracy", "less than or equal to 1"),
    (rows("accuracy", -0.01), "results.rows.0.accuracy", "greater than or equal to 0"),
    (rows("accuracy", "0.5"), "results.rows.0.accuracy", "valid number"),
    (rows("arm", "shuffled"), "results.rows.0.arm", "'shuffled', not ''"),
    (rows("target", "digits-5-9"), "results.rows.0.target", "is not in the suite: digits-3-5"),
    (rows("draw", 2), "results.rows.0.draw", "2 is not in the suite: 0, 1"),
    (rows("model", "own:resnet20"), "results.rows.0.model", "is not in the suite: own:vgg16"),
    (rows("params", 1), "results.rows.0.params", "1, the search says"),
    (rows("architecture", "d" * 64), "results.rows.0.architecture", "no search of the file found it there"),
    (rows("pickle", "x"), "results.rows.0.pickle", "Extra inputs are not permitted"),
    (rows("train_flops", lambda flops: 2 * flops, None), "results.rows", "breaks the rule 'the same recipe for all"),
    (drop_last, "results.rows", "breaks the rule 'no rows are absent' (1 rows of mine"),
    (repeat, "results.rows.96", "the same place as results.rows.0"),
    (data, "results.provenance.data", "not the data that the suite's results are of"),
    (longer, "parameters.training", "not the suite tiny of params.yaml"),
    (both("params", 5), "search.architectures.0.params", "5, but the architecture has"),
    (both("macs", 5), "search.architectures.0.macs", "5, but the architecture has"),
    (both("complexity", 0.01), "search.architectures.0.complexity", "0.01, but the architecture has"),
    (both("seed", 2), "search.architectures.0.seed", "2 is not in the suite: 0, 1"),
    (first("file", "../../etc/x"), "search.architectures.0.file", "is no path below the repository's folder"),
    (first("file", "/etc/x"), "search.architectures.0.file", "is no path below the repository's folder"),
    (first("module", "os"), "search.architectures.0.module", "Extra inputs are not permitted"),
    (first("reference", "<script>"), "search.architectures.0.reference", "should match pattern"),
    (lambda content: content.update(module="os"), "module", "Extra inputs are not permitted"),
    (lambda content: content.update(schema=2), "expected an object of schema 1", ""),
    (lambda content: content.update(suite="tyni"), "suite", "unknown suite 'tyni'; did you mean 'tiny'?"),
    (named("../mine"), "method", "should match pattern"),
    (named("uniform"), "method", "'uniform' is a method of this repository"),
]


@pytest.mark.parametrize(("change", "key", "reason"), REFUSED)
def test_what_is_wrong_is_refused_by_name(
    written: tuple[Params, Path, Content], tmp_path: Path, change: Change, key: str, reason: str
) -> None:
    params, root, content = written
    content = copy.deepcopy(content)
    change(content)
    if key == "suite":
        for row in content["results"]["rows"]:
            row["suite"] = content["suite"]
    path = tmp_path / "x.json"
    write_json(path, resealed(content))
    with pytest.raises(BenchError) as refused:
        accepted(params, path, root)
    message = str(refused.value)
    assert message.startswith(f"{path}: {key}") and reason in message
    assert "\n" not in message and ";" in message  # a remedy follows
    assert not (root / "reports" / "contributed").exists()


def test_a_file_that_was_changed_is_refused(written: tuple[Params, Path, Content], tmp_path: Path) -> None:
    params, root, content = written
    changed = copy.deepcopy(content)
    changed["results"]["rows"][0]["accuracy"] += 0.01
    write_json(tmp_path / "x.json", changed)
    with pytest.raises(BenchError, match="checksum: the file was changed after it was written"):
        accepted(params, tmp_path / "x.json", root)
    (tmp_path / "x.json").write_text(json.dumps(content)[:-1])
    with pytest.raises(BenchError, match=r"x\.json: not a readable JSON file"):
        accepted(params, tmp_path / "x.json", root)


def test_a_name_is_taken_once(written: tuple[Params, Path, Content], tmp_path: Path) -> None:
    import shutil

    params, root, content = written
    shutil.copytree(root / "reports", tmp_path / "reports")
    path = tmp_path / "x.json"
    write_json(path, content)
    place = store(path, accepted(params, path, tmp_path), tmp_path)
    with pytest.raises(BenchError, match=r"x\.json: method: .*mine\.json is there already"):
        accepted(params, path, tmp_path)
    place.unlink()
    accepted(params, path, tmp_path)
