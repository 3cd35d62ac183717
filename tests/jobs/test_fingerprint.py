import ast
import subprocess
import sys

import pytest

from benchmark.errors import BenchError
from benchmark.jobs.fingerprint import FIRST_PARTY, PLUMBING, _source, _tree, fingerprint, forget

RUN = """\
import json
from lab.deep import inner
from . import sibling

def compute():
    return inner.RATE
"""

FILES = {
    "lab/__init__.py": "",
    "lab/run.py": RUN,
    "lab/deep/__init__.py": "from lab.constants import BASE\n",
    "lab/deep/inner.py": "from ..lazy import late\nRATE = 0.1\n",
    "lab/lazy.py": "def late():\n    import lab.only_when_called\n",
    "lab/only_when_called.py": "X = 1\n",
    "lab/sibling.py": "Y = 2\n",
    "lab/constants.py": "BASE = 3\n",
    "lab/unrelated.py": "Z = 4\n",
}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    forget()
    yield tmp_path
    forget()


def changed(lab, name, text):
    """Whether the fingerprint of lab.run differs once `name` reads `text`."""
    before = fingerprint(["lab.run"])
    (lab / name).write_text(text)
    forget()
    return fingerprint(["lab.run"]) != before


@pytest.mark.parametrize(
    "text",
    [
        '"""Runs things."""\n# a comment\n' + RUN,
        RUN.replace("():", '():\n    """Doc."""'),
        RUN.replace("import inner", "import (\n    inner,\n)").replace(
            "    return inner.RATE", "\n\n  return (inner.RATE)"
        ),
    ],
    ids=["comment", "docstring", "formatting"],
)
def test_what_does_not_compute_does_not_count(lab, text):
    assert not changed(lab, "lab/run.py", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lab/run.py", RUN.replace("RATE", "RATE * 2")),
        ("lab/deep/inner.py", "from ..lazy import late\nRATE = 0.2\n"),
        ("lab/deep/__init__.py", "from lab.constants import BASE\nEXTRA = 1\n"),
        ("lab/constants.py", "BASE = 3.0\n"),
        ("lab/sibling.py", "Y = 'two'\n"),
        ("lab/lazy.py", "def late():\n    import lab.only_when_called\n    return 1\n"),
        ("lab/only_when_called.py", "X = True\n"),
    ],
)
def test_a_change_anywhere_in_the_import_closure_counts(lab, name, text):
    assert changed(lab, name, text)


def test_unrelated_modules_do_not_count(lab):
    assert not changed(lab, "lab/unrelated.py", "Z = 5\n")
    (lab / "lab/newcomer.py").write_text("W = 6\n")
    assert not changed(lab, "lab/unrelated.py", "from lab import newcomer\n")


def test_a_module_that_is_moved_or_deleted_counts(lab):
    before = fingerprint(["lab.run"])
    (lab / "lab/only_when_called.py").unlink()
    forget()
    assert fingerprint(["lab.run"]) != before


def test_the_roots_are_a_set(lab):
    assert fingerprint(["lab.run", "lab.sibling"]) == fingerprint(["lab.sibling", "lab.run", "lab.run"])
    assert fingerprint(["lab.run"]) != fingerprint(["lab.run", "lab.unrelated"])


def test_nothing_is_executed(lab):
    (lab / "lab/__init__.py").write_text("raise RuntimeError('imported')\n")
    forget()
    assert len(fingerprint(["lab.run"])) == 64


def test_bad_modules_are_one_line(lab):
    with pytest.raises(BenchError, match=r"lab\.nowhere: no Python source file"):
        fingerprint(["lab.nowhere"])
    (lab / "lab/sibling.py").write_text("def broken(:\n")
    forget()
    with pytest.raises(BenchError, match=r"sibling\.py: not valid Python"):
        fingerprint(["lab.run"])


def test_it_is_the_same_in_every_process(lab):
    command = "from benchmark.jobs.fingerprint import fingerprint; print(fingerprint(['lab.run']))"
    for seed in ("1", "2"):
        environment = {"PYTHONPATH": str(lab), "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, check=True)
        assert done.stdout == f"{fingerprint(['lab.run'])}\n".encode()


def test_plumbing_cannot_compute():
    """The modules that are left out may import no numerical library and nothing that does."""
    allowed = {name.partition(".")[2] for name in PLUMBING} | {"jobs.fingerprint"}
    for name in PLUMBING:
        assert _source(name) is not None
        for node in ast.walk(_tree(name)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for imported in names:
                top, _, rest = imported.partition(".")
                assert top not in {"torch", "numpy", "scipy", "sklearn"}
                assert top not in FIRST_PARTY or rest in allowed, (name, imported)
