"""The pages are true: their code runs, their output is what comes out, and what they name exists."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from pages import ROOT, blocks, files, run

from benchmark import api, data, models
from benchmark.config.params import DatasetRef, Params, TargetRef, parse
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.store import Context, Store
from benchmark.pipeline.collect import rows_of
from benchmark.pipeline.stages import plan_of, prepare_data
from benchmark.pruning.registry import pruners

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_code_on_a_page_prints_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = run("docs/method.md")
    assert found["suite"] == api.load_params(ROOT / "params.yaml").suites["digits"]
    unread, labels = found["unread"], found["problem"].train
    # What the page calls idle has indeed no gradient.
    model = found["model"].train()
    torch.nn.functional.cross_entropy(
        model(labels.normalise(labels.pixels(torch.arange(len(labels))))), labels.labels
    ).backward()
    gradient = {name: torch.zeros(shape) for name, shape in found["problem"].space.shapes.items()}
    gradient |= {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    flat = found["problem"].space.flatten(gradient)
    assert float(flat[unread].abs().max()) == 0 < float(flat[~unread].abs().max())


def test_a_quantity_per_channel_becomes_a_score_per_unit() -> None:
    found = run("docs/extending.md")
    # Scales are 1 at first, so a unit's score is the number of batch norms that it goes through.
    through = torch.zeros(found["space"].n)
    for name, module in found["model"].named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            units = torch.from_numpy(found["space"].graph.dims[f"{name}.weight"][0])
            through += torch.bincount(units, minlength=len(through))
    assert torch.equal(found["scores"], through)


def test_the_python_example_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = run("README.md")
    architecture, network = found["found"].architecture, found["network"]
    assert architecture.meta["method"] == "dap"
    assert 0.045 < architecture.meta["complexity"] <= 0.05
    assert sum(p.numel() for p in network.parameters()) == architecture.meta["params"]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    assert api.Architecture.load(tmp_path / "dap.safetensors").digest == architecture.digest


def test_the_readme_s_block_of_results_is_the_pipeline_s() -> None:
    from benchmark.report.readme import BEGIN, END

    text = (ROOT / "README.md").read_text()
    assert text.index(BEGIN) < text.index(END)
    outside = text[: text.index(BEGIN)] + text[text.index(END) :]
    assert not re.search(r"\d\s?%.*accura|accura.*\d\s?%", outside), "numbers belong into the block"


# A pruner


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder that looks like an installed package with the pages' pruners, named by the entry point shown there."""
    shown = files("docs/extending.md") | files("README.md")
    (points,) = (tomllib.loads(code) for code, _ in blocks("docs/extending.md", "toml"))
    entries = points["project"]["entry-points"]["dapbench.pruners"] | {"loudest": "loudest:Loudest"}
    folder = tmp_path / "site"
    information = folder / "shown-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: shown\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (information / "entry_points.txt").write_text("\n".join(["[dapbench.pruners]", *lines]) + "\n")
    for entry in entries.values():
        module = entry.partition(":")[0]
        (folder / f"{module}.py").write_text(shown[f"{module}.py"])
    return folder


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That package, seen by this process."""
    monkeypatch.syspath_prepend(str(package))
    pruners.cache_clear()
    yield
    pruners.cache_clear()
    for path in package.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("name", ["sensitivity", "loudest"])
def test_the_pruners_shown_search(name: str, granularity: str) -> None:
    images = api.load_data(DatasetRef(name="digits", classes=[0, 1, 2]))
    model = api.build_model(api.ModelRef(name="own:vgg16", width=0.0625), in_channels=1, classes=3, image_size=8)
    problem = api.problem(model, images.images, images.labels, [0.5, 0.1], granularity)
    found = [sub.architecture for sub in api.search(name, problem)]
    assert [architecture.meta["budget"] for architecture in found] == [0.5, 0.1]
    assert all(0.9 * b < a.meta["complexity"] <= b for a, b in zip(found, (0.5, 0.1), strict=True))
    assert found[1].digest != api.search("uniform", problem)[1].architecture.digest
    assert api.search(name, problem)[1].architecture.digest == found[1].digest


@pytest.mark.usefixtures("installed")
def test_the_pruner_shown_goes_from_params_to_rows(tiny_params: Path) -> None:
    """The page's entry in params.yaml, with the class in a package of its own."""
    content = yaml.safe_load(tiny_params.read_text())
    parts = [yaml.safe_load(code) for code, _ in blocks("docs/extending.md", "yaml") if "sensitivity" in code]
    shown = {key: value for part in parts for key, value in part.items()}
    assert set(shown["run"]["methods"]) == {*api.load_params(ROOT / "params.yaml").run.methods, "sensitivity"}
    content["run"]["methods"] = ["sensitivity"]
    content["methods"] = shown["methods"]
    content["suites"]["tiny"]["methods"] = {}
    content["suites"]["tiny"]["grid"]["seeds"] = [0]
    described = parse(Params, content, "docs/extending.md")
    root = tiny_params.parent
    plan = plan_of(described, "tiny", root, prepare_data(described, "tiny", root))
    context = Context(plan.store, root / "data")
    for job in [*plan.pretrain_jobs(), *plan.search_jobs("sensitivity")]:
        compute_into(plan.store, job, context)
    for job in plan.transfer_jobs("sensitivity"):
        compute_into(plan.store, job, context)
    rows = rows_of(plan, "sensitivity")
    # two variants x two granularities x two budgets x three modes x two shots x two draws
    assert len(rows) == 2 * 2 * 2 * 3 * 2 * 2
    assert {row.variant for row in rows} == {"", "more"}


def compute_into(store: Store, job: Job[Spec], context: Context) -> None:
    output = importlib.import_module(job.spec.module).compute(job, context)
    store.put(job, output, {"started": 0.0, "seconds": 0.0, "peak_mb": 0.0})


def test_the_pruner_shown_passes_the_tests_of_every_pruner(package: Path) -> None:
    """As the page says: what is registered is tested."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "tests/pruning/test_every_pruner.py",
        "-k",
        "sensitivity",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d{2} passed", done.stdout)


# Suites, data sets, models


def test_the_suite_shown_is_valid() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    shown = [yaml.safe_load(code) for code, _ in blocks("docs/extending.md", "yaml")]
    (suite,) = (block["suites"]["digits-resnet"] for block in shown if "digits-resnet" in block.get("suites", {}))
    content["suites"]["digits-resnet"] = suite
    content["run"] |= {"suites": ["digits-resnet"], "headline": "digits-resnet"}
    content["run"]["methods"] = list(suite["methods"])
    described = parse(Params, content, "docs/extending.md")
    from benchmark.pipeline.validate import check_methods, check_suite

    check_methods(described, "docs/extending.md")
    check_suite("digits-resnet", described, "docs/extending.md", ROOT)
    (own,) = (block["source"] for block in shown if "source" in block)
    assert parse(DatasetRef, own, "docs/extending.md").name.startswith("imagefolder:")


def test_the_data_set_shown_is_found_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from benchmark.data import registry, sets
    from benchmark.errors import BenchError

    (tmp_path / "npz.py").write_text(files("docs/extending.md")["npz.py"])
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    registry.datasets.cache_clear()
    try:
        images = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
        np.savez(tmp_path / "six.npz", images=images, labels=np.array([0, 1, 2, 0, 1, 2]))
        assert "npz:PATH" in data.dataset_names()
        ref = TargetRef(name=f"npz:{tmp_path / 'six.npz'}", classes=[2, 0], label="six")
        manifest = data.prepare(ref, tmp_path / "data")
        assert (manifest["count"], manifest["classes"], manifest["shape"]) == (4, ["2", "0"], [1, 4, 4])
        opened = data.open_prepared(ref, tmp_path / "data")
        assert opened.labels.tolist() == [1, 0, 1, 0]
        assert opened.images[1, 0].tolist() == images[2].tolist()
        with pytest.raises(BenchError, match=r"^here\.name: '/gone' is not a file; expected npz:PATH$"):
            data.check_ref(DatasetRef(name="npz:/gone"), "here")
    finally:
        registry.datasets.cache_clear()
        sys.modules.pop(f"{sets.__name__}.npz", None)


def test_the_model_shown_is_found_searched_and_extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.models import own
    from benchmark.training.stacked import Replicas

    (tmp_path / "plain.py").write_text(files("docs/extending.md")["plain.py"])
    monkeypatch.setattr(own, "__path__", [*own.__path__, str(tmp_path)])
    try:
        assert "own:plain" in models.model_names()
        model = api.build_model(api.ModelRef(name="own:plain", width=0.5), in_channels=1, classes=3, image_size=8)
        images = api.load_data(DatasetRef(name="digits", classes=[0, 1, 2]))
        problem = api.problem(model, images.images, images.labels, [0.3])
        assert problem.space.sizes == [8, 16, 32]
        network = api.extract(model, api.search("uniform", problem)[0])
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        assert Replicas(network, [state], (1, 8, 8))(torch.zeros(1, 2, 1, 8, 8)).shape == (1, 2, 3)
    finally:
        sys.modules.pop(f"{own.__name__}.plain", None)


# What the pages name


@named
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {target}"


@named
def test_tests_files_and_commands_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"def {name}(" in (ROOT / path).read_text(), f"{page.name}: {path}::{name}"
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE):
        assert target in targets, f"{page.name}: make {target}"
    import typer

    from benchmark.cli import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command in re.findall(r"(?:^    |`)dapbench ([a-z]+)", text, re.MULTILINE):
        assert command in commands, f"{page.name}: dapbench {command}"


def test_messages_in_the_table_are_the_program_s() -> None:
    text = (ROOT / "docs" / "reproducing.md").read_text()
    table = text[text.index("| message | remedy |") :].split("\n\n")[0].splitlines()[2:]
    sources = [*(ROOT / "benchmark").rglob("*.py"), ROOT / "Makefile"]
    program = "\n".join(path.read_text() for path in sources)
    told = re.sub(r'"\n\s+f?"', "", program)  # a sentence may go over several literals
    assert len(table) > 10
    for row in table:
        message = row.split(" | ")[0].strip("| `")
        if "dvc exp run" not in row:
            for part in re.split(r"\s*\.\.\.\s*", message):
                assert part in told, f"docs/reproducing.md: {part}"
