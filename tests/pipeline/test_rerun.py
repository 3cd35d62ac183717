"""What a rerun makes of the difference between claimed and computed rows; nothing is trained here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fabricated import finish
from submitted import submitted

from benchmark.analysis.submission import Submission, read_submission
from benchmark.config.params import Params, Variant
from benchmark.errors import BenchError
from benchmark.files import write_json
from benchmark.jobs.job import Job
from benchmark.jobs.local import Failure
from benchmark.jobs.results import Measured, Transferred
from benchmark.jobs.specs import TransferSpec
from benchmark.pipeline import rerun as module
from benchmark.pipeline.rerun import Compared, rerun

CLAIMED = 0.5
FLOPS = 1000


class Case:
    """A file that claims one accuracy everywhere, and workers that give what a test says."""

    def __init__(self, params: Params, root: Path, found: Submission, path: Path) -> None:
        self.params, self.root, self.path = params, root, path
        self.claims(found)
        self.accuracy, self.flops, self.episodes = CLAIMED, FLOPS, 1
        self.jobs: list[Job[TransferSpec]] = []
        self.steps: list[str] = []
        self.fails = False

    def claims(self, found: Submission, **changes: Any) -> None:
        update = {"accuracy": CLAIMED, "train_flops": FLOPS, "source_accuracy": None} | changes
        rows = [row.model_copy(update=update) for row in found.results.rows]
        self.found = found.model_copy(update={"results": found.results.model_copy(update={"rows": rows})})

    def run_step(self, step: str, jobs: Sequence[Job[TransferSpec]], work: Any, *_: Any) -> list[Failure]:
        assert step in ("tune", "pretrain", "transfer")
        self.jobs += jobs
        if self.fails:
            return [Failure(job, "no luck") for job in jobs]
        self.steps.append(step)
        for job in jobs if step == "transfer" else ():
            (target,) = job.spec.targets
            results = [
                Measured(
                    target=target.label,
                    shots=shots,
                    draw=draw,
                    accuracy=self.accuracy,
                    train_flops=self.flops,
                    episodes=self.episodes,
                )
                for shots in target.shots
                for draw in range(target.draws)
            ]
            finish(work[0][0].store, job, Transferred(source_accuracy=None, params=1, macs=1, results=results))
        return []

    def rerun(self, count: int, seed: int = 0, exact: bool = False) -> Compared | None:
        return rerun(self.params, self.path, self.found, count, seed, self.root, exact=exact)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> tuple[Params, Path, Submission]:
    root = tmp_path_factory.mktemp("suite")
    params, content = submitted(root, tiny_text)
    write_json(root / "x.json", content)
    return params, root, read_submission(root / "x.json")


@pytest.fixture
def case(made: tuple[Params, Path, Submission], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    import shutil

    params, root, found = made
    shutil.copytree(root / "reports", tmp_path / "reports")
    one = Case(params, tmp_path, found, root / "x.json")
    monkeypatch.setattr(module, "prepare_data", lambda *_: None)
    monkeypatch.setattr(module, "run_step", one.run_step)
    yield one


def test_every_retraining_but_the_inherited_is_compared_once(case: Case) -> None:
    # 2 granularities x 2 seeds x 2 budgets x 2 weights modes (fresh, scratch), each with 2 shots x 2 draws
    assert case.rerun(1000) == Compared(retrainings=16, rows=64, equal=64, difference=0.0)
    assert {job.spec.weights for job in case.jobs} == {"fresh", "scratch"}
    assert len({job.key for job in case.jobs}) == 16


def test_a_draw_is_a_function_of_its_seed(case: Case) -> None:
    keys = []
    for seed in (1, 1, 2):
        case.jobs = []
        case.rerun(3, seed)
        keys.append([job.key for job in case.jobs])
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("count", "excess", "refused"),
    # Two standard errors of 6 points: 12 of one retraining, 3 of the mean of sixteen.
    [(1, 0.119, False), (1, 0.121, True), (1000, 0.029, False), (1000, 0.031, True), (1000, -0.3, False)],
)
def test_claims_may_exceed_what_is_computed_by_rounding_only(
    case: Case, count: int, excess: float, refused: bool
) -> None:
    case.accuracy = CLAIMED - excess
    if refused:
        with pytest.raises(BenchError, match=r"x\.json: results\.rows: .* points above what the architectures give"):
            case.rerun(count)
    else:
        told = case.rerun(count)
        assert told is not None and told.equal == 0
        assert told.difference == pytest.approx(excess)


def test_with_exact_every_bit_counts(case: Case) -> None:
    assert case.rerun(2, exact=True) is not None
    case.claims(case.found, accuracy=CLAIMED + 2**-50)
    assert case.rerun(2) is not None
    with pytest.raises(BenchError, match=r"x\.json: results\.rows\.\d+\.accuracy: 0\.5000\d+, computed again 0\.5;"):
        case.rerun(2, exact=True)


@pytest.mark.parametrize(("name", "value"), [("flops", FLOPS + 1), ("episodes", 2)])
def test_operations_and_episodes_are_those_of_the_suite(case: Case, name: str, value: int) -> None:
    setattr(case, name, value)
    with pytest.raises(BenchError, match=rf"results\.rows\.\d+\.\w*{name}: \d+, computed again {value};"):
        case.rerun(1)


def test_weights_that_are_not_in_the_file_cannot_be_rerun(case: Case) -> None:
    case.claims(case.found, weights="inherit")
    with pytest.raises(BenchError, match="all have inherited weights, which are not in the file"):
        case.rerun(1)


def test_a_distilled_variant_is_rerun_under_its_teacher(case: Case) -> None:
    found, named = case.found, {"variant": "taught"}
    settings = found.settings.model_copy(update={"variants": {"taught": Variant(distil="logits")}})
    rows = [row.model_copy(update=named) for row in found.results.rows]
    entries = [entry.model_copy(update=named) for entry in found.search.architectures]
    case.found = found.model_copy(
        update={
            "settings": settings,
            "results": found.results.model_copy(update={"rows": rows}),
            "search": found.search.model_copy(update={"architectures": entries}),
        }
    )
    told = case.rerun(1000)
    assert told is not None and told.retrainings == 16
    assert case.steps == ["tune", "pretrain", "transfer"]
    teachers = {job.key for job in case.jobs if job.kind == "pretrain"}
    taught = {(job.spec.weights, job.spec.teacher) for job in case.jobs if job.kind == "transfer"}
    assert len(teachers) == 2 and taught == {("scratch", None), *(("fresh", key) for key in teachers)}


def test_a_failed_job_is_no_verdict(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.fails = True
    assert case.rerun(1) is None
    assert "no luck" in capsys.readouterr().err
