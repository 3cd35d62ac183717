import time
from pathlib import Path

import pytest

from benchmark.config.yaml_file import read_yaml
from benchmark.errors import BenchError


def read(folder: Path, text: str) -> object:
    path = folder / "params.yaml"
    path.write_text(text)
    return read_yaml(path)


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 5e-4\nb: yes\nc: [1, 0x10]\n") == {"a": 0.0005, "b": "yes", "c": [1, 16]}


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &x {k: 1}\nb: *x\n") == {"a": {"k": 1}, "b": {"k": 1}}


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 2: the key 'a' is given twice"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: 2020-13-45\n", "month must be in"),
        ("a: " + "9" * 5000, "digits"),
        ("a: [1, 2", "not readable as YAML"),
        ("[" * 5000, "nested deeper than 30 levels"),
        (LAUGHS, "more than 100000 values"),
        ("a: " + "x" * 2_000_000, "larger than 1000 kB"),
        ("a: *nowhere\n", "not readable as YAML"),
    ],
    ids=["twice", "tag", "date", "digits", "cut off", "deep", "aliases", "large", "no anchor"],
)
def test_hostile_texts_are_refused_at_once(tmp_path: Path, text: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(BenchError, match=message):
        read(tmp_path, text)
    assert time.monotonic() - started < 20


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file"):
        read_yaml(tmp_path / "params.yaml")
