"""dvc.yaml, in a throw-away checkout with the smallest suite there is: which stages run when something changes."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from benchmark.jobs.fingerprint import _imports, _source
from benchmark.pipeline.warm import warm_stages

REPOSITORY = Path(__file__).parents[2]
CODE = (
    "benchmark",
    "baselines",
    "reports/contributed",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
    ".dvc/.gitignore",
)
PARAMS = """\
run:
  suites: [tiny]
  methods: [dense, random]
compute: {workers: 1, threads: 1, device: cpu}
methods:
  dense: {}
  random: {params: {allocation: scores}}
  uniform: {}
suites:
  tiny: &tiny
    title: The smallest suite
    data:
      source: {name: digits, classes: [0, 1, 2]}
      targets: [{label: digits-3-5, name: digits, classes: [3, 4, 5]}]
    model: {name: "own:vgg16", width: 0.0625}
    grid: {granularities: [channel], budgets: [0.5, 0.1], seeds: [0, 1]}
    training: {steps: 2, batch: 32, lr: 0.05}
    transfer:
      weights: [fresh]
      shots: [1]
      draws: 2
      finetune: {steps: 2, batch: 15, lr: 0.05}
      scratch: {steps: 2, batch: 15, lr: 0.05}
    methods: {dense: {}, random: {}, uniform: {}}
  other: *tiny
"""


def stages_of(told: str) -> set[str]:
    return set(re.findall(r"Running stage '(.+)'", told))


class Checkout:
    """A copy of the repository's code with its own parameters, git history, jobs and dvc cache."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextlib.contextmanager
    def entered(self):
        """In the checkout's folder, with its code."""
        own = {
            "PYTHONPATH": str(self.root),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
        }
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(self.root):
            for name, value in own.items():
                patch.setenv(name, value)
            yield

    def command(self, *command: str) -> str:
        with self.entered():
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def git(self, *arguments: str) -> str:
        return self.command("git", "-c", "user.name=test", "-c", "user.email=test@localhost", *arguments)

    def dvc(self, *arguments: str) -> str:
        return self.command(sys.executable, "-m", "dvc", *arguments)

    def repro(self, *stages: str, **options: bool) -> set[str]:
        """The stages that `dvc repro` runs; in this process, for most of them take less time than importing dvc."""
        with self.entered(), warm_stages(), Repo() as repo:
            return {stage.addressing for stage in repo.reproduce(list(stages) or None, **options)}

    def due(self) -> set[str]:
        """The stages that it would run."""
        with self.entered(), Repo() as repo:
            return {stage.addressing for stage in repo.reproduce(dry=True)}

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new))

    def jobs(self) -> dict[str, int]:
        """Every finished job and when it was published."""
        return {path.name: path.stat().st_mtime_ns for path in (self.root / ".jobs").glob("??/*")}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A checkout in which `dapbench reproduce` has run and its results are committed."""
    checkout = Checkout(tmp_path_factory.mktemp("pipeline") / "checkout")
    for name in CODE:
        source, target = REPOSITORY / name, checkout.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (checkout.root / "params.yaml").write_text(PARAMS)
    checkout.git("init", "--quiet")
    told = checkout.command("dapbench", "reproduce")
    assert "none are committed yet" in told
    checkout.git("add", ".")
    checkout.git("commit", "--quiet", "--message", "results")
    return checkout


@pytest.fixture
def checkout(reproduced, tmp_path):
    """A copy of that checkout, to be changed."""
    shutil.copytree(reproduced.root, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy")


def test_a_fresh_clone_has_nothing_to_do(reproduced, tmp_path):
    reproduced.git("clone", "--quiet", str(reproduced.root), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone")
    assert clone.repro(dry=True, allow_missing=True) == set()
    assert not (clone.root / "artifacts").exists()
    names = reproduced.git("ls-files", "reports").splitlines()
    assert {"reports/results/tiny/random.json", "reports/results/tiny/tuning.json"} <= set(names)
    assert "reports/figures/tiny/accuracy.svg" in names
    assert not [
        name for name in reproduced.git("ls-files").splitlines() if name.startswith((".jobs", "artifacts", "data"))
    ]


def test_the_report_is_made_again_without_data_or_jobs(reproduced, tmp_path):
    reproduced.git("clone", "--quiet", str(reproduced.root), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone")
    ran = clone.repro("analyse", "report", "page", force=True, single_item=True, allow_missing=True)
    assert ran == {"analyse@tiny", "report@tiny", "page"}
    assert clone.git("status", "--porcelain") == ""


def test_a_second_reproduce_does_nothing_and_says_so(reproduced):
    before = reproduced.jobs()
    # The results were committed since: MLflow's runs get the commit, and nothing else happens.
    assert "Running stage" not in reproduced.command("dapbench", "reproduce")
    started = time.monotonic()
    told = reproduced.command("dapbench", "reproduce")
    assert time.monotonic() - started < 15
    assert "Nothing to do" in told
    assert "tiny: all 12 rows equal the committed ones, bit for bit." in told
    assert "Running stage" not in told
    assert reproduced.jobs() == before
    assert reproduced.git("status", "--porcelain") == ""


def test_a_changed_parameter_runs_its_method_and_what_follows(checkout):
    before = checkout.jobs()
    told = checkout.dvc("exp", "run", "--set-param", "methods.random.params.allocation=ratios", "analyse")
    assert stages_of(told) == {"code@tiny", "search@tiny-random", "transfer@tiny-random", "analyse@tiny"}
    changed = checkout.jobs()
    assert before.items() < changed.items()
    assert checkout.due() == {"report@tiny", "page"}
    checkout.git("checkout", "--quiet", "params.yaml")
    checkout.repro("analyse")
    assert checkout.jobs() == changed  # reverting computes nothing
    assert checkout.git("status", "--porcelain") == ""


def test_an_added_method_runs_only_its_own_stages(checkout):
    source = (checkout.root / "baselines" / "uniform.py").read_text()
    source = source.replace('name = "uniform"', 'name = "another"').replace("class Uniform", "class Another")
    (checkout.root / "baselines" / "another.py").write_text(source)
    checkout.edit("params.yaml", "methods: [dense, random]", "methods: [another, dense, random]")
    assert checkout.repro("transfer") == {"code@tiny", "search@tiny-another", "transfer@tiny-another"}
    changed = checkout.git("status", "--porcelain", "reports").split("\n")
    assert sorted(line[3:] for line in changed if line) == [
        "reports/code/tiny/search-another.json",
        "reports/results/tiny/another.json",
        "reports/results/tiny/another.search.json",
        "reports/results/tiny/another.timings.json",
    ]


def test_an_added_suite_leaves_the_others_alone(checkout):
    checkout.edit("params.yaml", "suites: [tiny]", "suites: [other, tiny]")
    before = checkout.jobs()
    ran = checkout.repro("transfer")
    assert ran == {f"{name}@other" for name in ("code", "data", "pretrain", "tune")} | {
        f"{name}@other-{method}" for name in ("search", "transfer") for method in ("dense", "random")
    }
    assert checkout.jobs() == before  # the same experiment under another name
    checkout.git("checkout", "--quiet", "params.yaml")
    checkout.git("clean", "--quiet", "--force", "-d", "reports/results/other")  # the page depends on all results
    assert checkout.due() == set()


def test_code_runs_what_depends_on_it(checkout):
    checkout.edit("baselines/random.py", "class Random(Pruner):", "# A comment.\nclass Random(Pruner):")
    assert checkout.repro("code") == {"code@tiny"}
    assert checkout.due() == set()
    checkout.edit("baselines/random.py", "torch.rand(problem.space.n", "0.5 * torch.rand(problem.space.n")
    assert checkout.repro("code") == {"code@tiny"}
    assert checkout.due() == {"search@tiny-random"}
    checkout.git("checkout", "--quiet", ".")
    checkout.edit("benchmark/protocol/pretrain.py", "steps=steps", "steps=steps + 0")
    assert checkout.repro("code") == {"code@tiny"}
    assert checkout.due() == {"pretrain@tiny"}
    checkout.git("checkout", "--quiet", ".")
    checkout.edit("benchmark/protocol/learning_rates.py", "EXAMPLES = 500", "EXAMPLES = 400")
    assert checkout.repro("code") == {"code@tiny"}
    assert checkout.due() == {"tune@tiny"}
    checkout.git("checkout", "--quiet", ".")
    checkout.edit(
        "benchmark/protocol/fewshot.py", "logits = template.eval()(images)", "logits = template.eval().eval()(images)"
    )
    assert checkout.repro("code") == {"code@tiny"}
    assert checkout.due() == {"tune@tiny", "transfer@tiny-dense", "transfer@tiny-random"}


def test_results_of_another_machine_are_replaced(checkout):
    """DVC sees no reason to run a stage whose inputs are equal; reproduce compares the rows themselves."""
    path = checkout.root / "reports" / "results" / "tiny" / "random.json"
    right = path.read_bytes()
    wrong = re.sub(rb'("train_flops": )\d', rb"\g<1>9", right)
    path.write_bytes(wrong)
    checkout.edit("dvc.lock", hashlib.md5(right).hexdigest(), hashlib.md5(wrong).hexdigest())
    assert checkout.repro("transfer") == set()
    assert "Running stage 'transfer@tiny-random'" in checkout.command("dapbench", "reproduce")
    assert path.read_bytes() == right


def test_dvc_shows_the_pipeline_its_metrics_and_its_plots(reproduced):
    assert "digits-3-5" in reproduced.dvc("metrics", "show")
    assert "index.html" in reproduced.dvc("plots", "show", "--out", "../plots")
    assert "transfer@tiny-random" in reproduced.dvc("dag")
    assert reproduced.git("status", "--porcelain") == ""


def closure(roots):
    found, waiting = set(), list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found and name.split(".")[0] in ("benchmark", "baselines") and _source(name):
            found.add(name)
            waiting += _imports(name)
    return found


def test_the_stage_code_depends_on_every_file_that_decides_a_result():
    from benchmark.jobs.fingerprint import PLUMBING

    stage = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]["code"]
    roots = [f"benchmark.protocol.{kind}" for kind in ("pretrain", "learning_rates", "search", "transfer")]
    for folder in ("baselines", "benchmark/models"):
        files = (REPOSITORY / folder).rglob("*.py")
        roots += [str(path.relative_to(REPOSITORY).with_suffix("")).replace("/", ".") for path in files]
    for name in closure(root.removesuffix(".__init__") for root in roots) - PLUMBING - {"benchmark"}:
        path = _source(name).relative_to(REPOSITORY)
        assert any(path.is_relative_to(dep) for dep in stage["deps"]), f"add {path} to the deps of the stage code"
