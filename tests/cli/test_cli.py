import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import rich
from typer.main import get_command
from typer.testing import CliRunner, Result

from benchmark.cli import app

PROGRAM = Path(sys.executable).with_name("dapbench")
ROOT: Any = get_command(app)


def invoke(line: str) -> Result:
    program, *arguments = shlex.split(line)
    assert program == "dapbench"
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def examples(command: Any) -> list[str]:
    return [line for line in command.epilog.split("\n\n") if line.startswith("dapbench ")]


def test_every_command_of_the_description_is_there() -> None:
    described = "validate methods suites models data run search transfer report track show extract stage reproduce"
    assert set(described.split()) <= set(COMMANDS)
    assert {"data list", "data prepare"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_s_help_has_an_example_of_it(name: str) -> None:
    result = invoke(f"dapbench {name} --help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert any(line.startswith(f"dapbench {name}") for line in examples(COMMANDS[name]))


@pytest.mark.parametrize("line", [line for command in COMMANDS.values() for line in examples(command)])
def test_every_example_parses(line: str) -> None:
    arguments = shlex.split(line)[1:]
    command, parent = ROOT, None
    while hasattr(command, "commands"):
        parent = command.make_context("dapbench", list(arguments), parent=parent)
        if not (arguments and arguments[0] in command.commands):
            return  # `dapbench data` on its own
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(command.name, list(arguments), parent=parent)


def test_every_listed_command_s_help_leaves_the_heavy_libraries_alone() -> None:
    code = (
        "import sys; from benchmark.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(sorted({'torch', 'mlflow', 'dvc', 'matplotlib', 'sklearn', 'numpy', 'pydantic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_and_bare_call() -> None:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("dapbench 0.")
    assert "validate" in invoke("dapbench").stdout


def test_the_lists_name_what_is_registered(tiny_params: Path) -> None:
    methods = invoke("dapbench methods").stdout
    for name in ("dense", "uniform", "random", "magnitude", "lottery_ticket", "darts", "dap"):
        assert f"\n{name} " in methods
    assert "own:vgg16" in invoke("dapbench models").stdout
    assert "imagefolder:... PATH" in invoke("dapbench data").stdout
    assert "imagefolder:... PATH" in invoke("dapbench data list").stdout
    assert "*  tiny " in invoke(f"dapbench suites --params {tiny_params}").stdout


def test_a_suite_is_told_by_the_number_of_its_tasks(tiny_params: Path) -> None:
    # 2 shots x 2 draws on one target
    assert "4 few-shot tasks on 1 targets" in invoke(f"dapbench suites --params {tiny_params}").stdout
    tiny_params.write_text(yaml.safe_dump(rich()))
    # 2 shots x 3 draws on the first, 2 shots x 2 draws on the second
    told = invoke(f"dapbench suites --params {tiny_params}").stdout
    assert "2 granularities x 2 budgets x 2 seeds, 10 few-shot tasks on 2 targets" in told


def test_a_suite_with_everything_optional_is_valid(tiny_params: Path) -> None:
    tiny_params.write_text(yaml.safe_dump(rich()))
    result = invoke(f"dapbench validate --params {tiny_params}")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_method_is_told_with_its_citation_and_parameters() -> None:
    told = invoke("dapbench methods dap").stdout
    assert "arXiv 2107.03375" in told
    assert "init | restart | pretrained" in told
    assert "float | None" in told
    assert "no parameters" in invoke("dapbench methods dense").stdout


def test_validate_says_what_is_valid_and_a_second_time_needs_no_torch(tiny_params: Path) -> None:
    first = invoke(f"dapbench validate --params {tiny_params}")
    assert (first.exit_code, first.stderr) == (0, "")
    assert "suite tiny is valid (4 methods: dense, uniform, random, magnitude)" in first.stdout
    code = (
        f"import sys; from benchmark.cli import app\ntry: app(['validate', '--params', {str(tiny_params)!r}])\n"
        "except SystemExit as end: assert end.code == 0\nprint('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_what_was_valid_is_checked_again_when_the_parameters_change(tiny_params: Path) -> None:
    assert invoke(f"dapbench validate --params {tiny_params}").exit_code == 0
    tiny_params.write_text(tiny_params.read_text().replace("dap: {}\n\nsuites", "dap: {params: {steps: 0}}\n\nsuites"))
    result = invoke(f"dapbench validate --params {tiny_params}")
    assert result.exit_code == 2
    assert "methods.dap.params.steps: expected a number greater than or equal to 1 (got 0)" in result.stderr


def test_an_interrupt_says_that_finished_jobs_are_kept(tiny_params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: Any, **_named: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.pipeline.stages.run_suite", interrupted)
    result = invoke(f"dapbench run --params {tiny_params}")
    assert result.exit_code == 130
    assert result.stderr == "interrupted; finished jobs are kept, run the same command again to go on\n"


def test_a_bug_keeps_its_traceback(tiny_params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_named: Any) -> int:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr("benchmark.pipeline.stages.run_suite", broken)
    result = invoke(f"dapbench run --params {tiny_params}")
    assert result.exit_code == 1
    assert isinstance(result.exception, PermissionError)


def test_failed_jobs_write_no_result_file(tiny_params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.pipeline.stages.run_suite", lambda *_arguments, **_options: 1)
    assert invoke(f"dapbench run --params {tiny_params}").exit_code == 1
    assert not (tiny_params.parent / "reports").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dapbench serch", "dapbench: No such command 'serch'"),
        ("dapbench search --method dap", "dapbench search: Missing option '--suite'; see `dapbench search --help`"),
        ("dapbench run --jobs two", "dapbench run: Invalid value for '--workers' / '--jobs'"),
        ("dapbench run --job 2", "dapbench run: No such option: --job"),
        ("dapbench --verbose", "dapbench: No such option: --verbose"),
    ],
)
def test_a_wrong_call_is_one_line_that_names_the_help(line: str, message: str) -> None:
    result = invoke(line)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert "--help`\n" in result.stderr


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ("--cluster local:2 --workers 2", "leave out --workers or --cluster"),
        ("--store memory://x", "name one with --cluster"),
    ],
)
def test_what_a_cluster_goes_with(tiny_params: Path, options: str, remedy: str) -> None:
    result = invoke(f"dapbench run --params {tiny_params} {options}")
    assert isinstance(result.exception, SystemExit) and result.exit_code == 2
    assert remedy in result.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> Path:
    """A folder in which the tiny suite's `uniform` has run at one granularity and seed."""
    folder = tmp_path_factory.mktemp("workspace")
    params = yaml.safe_load(tiny_text)
    params["run"]["methods"] = ["uniform"]
    params["suites"]["tiny"]["grid"] |= {"granularities": ["channel"], "seeds": [0]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    result = invoke(f"dapbench run --jobs 1 --params {folder / 'params.yaml'}")
    assert result.exit_code == 0
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


def test_run_writes_the_result_files(workspace: Path) -> None:
    results = json.loads((workspace / "reports/results/tiny/uniform.json").read_text())
    # 2 budgets x 3 weights modes x 2 shots x 2 draws on one target
    assert len(results["rows"]) == 24
    assert (workspace / "artifacts/tiny/search/uniform/channel-default-s0-b10.safetensors").is_file()


def percent(workspace: Path, **place: Any) -> str:
    """The mean accuracy of the rows at a place, as a table has it."""
    rows = json.loads((workspace / "reports/results/tiny/uniform.json").read_text())["rows"]
    found = [row["accuracy"] for row in rows if place.items() <= row.items()]
    return f"{100 * sum(found) / len(found):.1f}"


def test_run_prints_the_accuracies(workspace: Path) -> None:
    title, head, *lines = (workspace / "stdout.txt").read_text().strip().splitlines()
    assert title.strip() == "tiny: finetune, 5-shot, fresh weights, mean"
    assert head.split() == ["method", "units", "cost", "50", "%", "10", "%"]
    means = [percent(workspace, budget=budget, shots=5, weights="fresh") for budget in (0.5, 0.1)]
    assert [line.split() for line in lines] == [["uniform", "channel", "params", *means]]


def test_report_prints_the_main_table_and_says_what_the_page_lacks(workspace: Path, tmp_path: Path) -> None:
    """The page shows `twin`, which run.suites lists, and not `tiny`, whose results are there all the same."""
    import shutil

    for name in ("reports", ".jobs", "data"):
        shutil.copytree(workspace / name, tmp_path / name)
    params = yaml.safe_load((workspace / "params.yaml").read_text())
    params["suites"]["twin"] = params["suites"]["tiny"] | {"title": "Its twin"}
    params["run"]["suites"] = ["twin"]
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params))
    assert invoke(f"dapbench run --jobs 1 --params {file}").exit_code == 0
    means = [percent(workspace, budget=budget, shots=5, weights="fresh") for budget in (0.5, 0.1)]
    for suite, lacking in (("twin", False), ("tiny", True)):
        result = invoke(f"dapbench report --suite {suite} --params {file}")
        assert result.exit_code == 0, result.stderr
        assert f"{suite}: accuracy on digits-3-5, 5-shot, fresh weights, channel units\n" in result.stdout
        (line,) = [line.split() for line in result.stdout.splitlines() if line.startswith("uniform")]
        assert [entry.partition("±")[0] for entry in line[1:]] == means
        assert (f"{suite}: not on the page, for it is not in run.suites" in result.stdout) is lacking
        page = (tmp_path / "reports/index.html").read_text()
        assert "Its twin" in page and "Handwritten digits, 0-2 to 3-5" not in page


def test_search_gives_the_architecture_of_the_grid(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    result = invoke("dapbench search --suite tiny --method uniform --budget 0.1 --out found.safetensors")
    assert result.exit_code == 0
    assert result.stderr == ""  # nothing was computed
    published = workspace / "artifacts/tiny/search/uniform"
    for ending in (".safetensors", ".weights.safetensors"):
        found = Path(f"found{ending}").read_bytes()
        assert found == (published / f"channel-default-s0-b10{ending}").read_bytes()


def test_search_beside_the_grid_names_its_file(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.space import Architecture

    monkeypatch.chdir(workspace)
    result = invoke("dapbench search --suite tiny --method random --variant ratios --granularity weight --budget 0.3")
    assert result.exit_code == 0
    found = Architecture.load(Path("random-ratios-weight-b30-s0.safetensors"))
    assert found.granularity == "weight"
    assert 0.29 < found.meta["complexity"] <= 0.3


@pytest.mark.parametrize("weights", ["fresh", "inherit"])
def test_transfer_of_a_file_is_that_of_the_grid(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    """Also when the grid's own job is not at hand: here only the data are."""
    import shutil

    from benchmark.config.params import load_params
    from benchmark.pipeline.one_off import transfer

    shutil.copytree(workspace / "data", tmp_path / "data")
    params = load_params(workspace / "params.yaml")
    file = workspace / "artifacts/tiny/search/uniform/channel-default-s0-b10.safetensors"
    results = json.loads((workspace / "reports/results/tiny/uniform.json").read_text())
    wanted = [
        (row["shots"], row["draw"], row["accuracy"])
        for row in results["rows"]
        if (row["budget"], row["weights"]) == (0.1, weights)
    ]
    values = transfer(params, "tiny", file, weights, root=tmp_path)
    assert values is not None
    assert [(found.shots, found.draw, found.accuracy) for found in values.results] == wanted

    monkeypatch.chdir(workspace)
    told = invoke(f"dapbench transfer {file} --suite tiny --weights {weights}").stdout
    five = [accuracy for shots, _, accuracy in wanted if shots == 5]
    assert f"{100 * sum(five) / len(five):.1f} %" in told


def test_show_draws_every_layer(workspace: Path) -> None:
    from benchmark.space import Architecture

    file = workspace / "artifacts/tiny/search/uniform/channel-default-s0-b50.safetensors"
    architecture = Architecture.load(file)
    lines = invoke(f"dapbench show {file}").stdout.splitlines()
    words = [line.split() for line in lines]
    for name, size in architecture.sizes.items():
        kept, of, bar = next(line[1:] for line in words if line[0] == name)
        assert (int(kept), int(of)) == (architecture.kept[name], size)
        assert bar.count("█") == max(1, round(40 * int(kept) / size))
        assert len(bar) == 40
    assert ["budget", "50", "%", "of", "the", "params"] in words
    assert ["parameters", f"{architecture.meta['params']:,}"] in words


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_extract_writes_a_network_that_runs(workspace: Path, monkeypatch: pytest.MonkeyPatch, granularity: str) -> None:
    import torch

    from benchmark import api

    monkeypatch.chdir(workspace)
    name = f"taken-{granularity}"
    search = f"dapbench search --suite tiny --method uniform --granularity {granularity} --budget 0.1"
    assert invoke(f"{search} --out {name}.safetensors").exit_code == 0
    done = invoke(
        f"dapbench extract {name}.safetensors --state {name}.weights.safetensors --out {name}.net.safetensors"
    )
    assert done.exit_code == 0
    description = json.loads(Path(f"{name}.net.json").read_text())
    network = api.load_network(Path(f"{name}.net.safetensors"))

    architecture = api.Architecture.load(Path(f"{name}.safetensors"))
    large = api.large_model(architecture)
    api.load_weights(large, architecture, Path(f"{name}.weights.safetensors"))
    expected = api.extract(large, architecture).eval()
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(images), expected(images))
    assert description["architecture"] == architecture.digest
    if granularity == "channel":
        size = sum(parameter.numel() for parameter in network.parameters())
        assert size == description["params"] == architecture.meta["params"]


def test_extract_never_writes_over_what_it_reads(workspace: Path) -> None:
    file = workspace / "artifacts/tiny/search/uniform/channel-default-s0-b10.safetensors"
    before = file.read_bytes()
    result = invoke(f"dapbench extract {file} --out {file}")
    assert result.exit_code == 2
    assert "name another file" in result.stderr
    assert file.read_bytes() == before


def test_data_prepare_tells_what_it_prepared(tiny_params: Path) -> None:
    told = invoke(f"dapbench data prepare --params {tiny_params}").stdout
    # scikit-learn's digits: 178 + 182 + 177 images of 0, 1 and 2; 183 + 181 + 182 of 3, 4 and 5
    assert ["tiny", "source", "digits", "537", "3", "1x8x8"] in [line.split()[:6] for line in told.splitlines()]
    assert ["tiny", "digits-3-5", "digits", "546", "3", "1x8x8"] in [line.split()[:6] for line in told.splitlines()]
