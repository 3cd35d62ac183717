import os
import shutil
from pathlib import Path

import pytest
from tracked import CELLS, write_method, write_summary

from benchmark.files import write_json

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments of ours: making the tables takes seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{path}", "unused").engine.dispose()
    return path


@pytest.fixture
def bare(tiny_params: Path) -> Path:
    """A folder with results of three methods and no database."""
    root = tiny_params.parent
    text = tiny_params.read_text()
    assert "methods: [dense, uniform, random, magnitude]" in text
    tiny_params.write_text(
        text.replace("methods: [dense, uniform, random, magnitude]", "methods: [dense, random, dap]")
    )
    for method in CELLS:
        write_method(root, method)
    manifest = {
        "schema": 1,
        "name": "digits",
        "count": 9,
        "classes": ["3", "4", "5"],
        "shape": [1, 8, 8],
        "source": "scikit-learn",
        "licence": "CC BY",
    }
    targets = {"digits-3-5": {**manifest, "digest": "b" * 64}}
    write_json(
        root / "reports/results/tiny/data.json",
        {"schema": 1, "source": {**manifest, "digest": "a" * 64}, "targets": targets},
    )
    figure = root / "reports/figures/tiny/accuracy.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("<svg/>")
    write_summary(root)
    return root


@pytest.fixture
def root(bare: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, bare / "mlflow.db")
    return bare
