"""The controls of default variants: jobs, rows, and the whole of a tiny suite with all of them."""

import fabricated
import pytest
import yaml
from tiny import TINY

from benchmark.analysis import analyse_suite, read_summary
from benchmark.analysis.rows import read_results
from benchmark.config.params import Params
from benchmark.jobs.options import options
from benchmark.pipeline.collect import rows_of, searches_of, timings_of
from benchmark.pipeline.stages import Places, run_suite, stage
from benchmark.protocol import controls
from benchmark.report import report_suite

ALL = ["shuffled", "inverted", "labels", "flops"]


def content(**transfer):
    made = yaml.safe_load(TINY)
    made["suites"]["tiny"]["transfer"] |= transfer
    return made


@pytest.fixture
def planned(tmp_path):
    def make(**transfer):
        return fabricated.plan_for(Params.model_validate(content(**transfer)), tmp_path)

    return make


def labels(jobs):
    return [job.label for job in jobs]


def keys(jobs):
    return [job.key for job in jobs]


def test_the_arms_concern_default_variants_of_pruners():
    assert list(controls.COMPARED) == ALL
    assert all(controls.concerns(control, "uniform", "", "weight") for control in ALL)
    assert not any(controls.concerns(control, "uniform", "ratios", "weight") for control in ALL)
    assert not any(controls.concerns(control, "dense", "", "weight") for control in ALL)
    assert [control for control in ALL if not controls.concerns(control, "uniform", "", "block")] == ["shuffled"]
    assert [controls.concerns("twice", method, "", "channel") for method in ("dense", "uniform")] == [True, False]


def test_the_grid_keeps_its_jobs(planned):
    plain, with_controls = planned(), planned(controls=ALL, flops_cap=2.0)
    fabricated.everything(with_controls, ["dense", "random"])
    assert keys(with_controls.pretrain_jobs())[:2] == keys(plain.pretrain_jobs())
    for method in ("dense", "random"):
        grid = keys(plain.search_jobs(method))
        assert keys(with_controls.search_jobs(method))[: len(grid)] == grid
        assert keys(s.job for s in with_controls.searches(method)) == grid
        found = [t.job.key for t in with_controls.transfers(method) if not t.control]
        assert found == [t.job.key for t in plain.transfers(method)]
    assert searches_of(with_controls, "random") == searches_of(plain, "random")
    assert {transfer.control for transfer in with_controls.transfers("dense")} == {""}


def test_searches_of_the_arms(planned):
    plan = planned(controls=ALL)
    assert labels(plan.pretrain_jobs()) == ["tiny pretrain s0", "tiny pretrain s1"] + [
        f"tiny pretrain s{seed} labels" for seed in (0, 1)
    ]
    own = plan.search_jobs("random")[8:]
    assert labels(own) == [
        f"tiny search random {granularity} s{seed} {control}"
        for control in ("inverted", "labels")
        for granularity in ("channel", "weight")
        for seed in (0, 1)
    ]
    grid = options(plan.search_jobs("random")[0].spec)
    assert options(own[0].spec) == grid | {"sanity": "inverted"}
    assert options(own[4].spec) == grid | {"sanity": "labels", "pretrain": plan.pretrain_jobs()[2].key}


def test_retrainings_of_the_arms(planned):
    plan = planned(controls=ALL, flops_cap=2.5)
    fabricated.everything(plan, ["random"])
    transfers = [t for t in plan.transfers("random") if not t.search.variant and t.weights == "fresh"]
    jobs = {(t.control, t.search.granularity, t.search.seed, t.architecture.budget): t.job for t in transfers}
    assert len(jobs) == len(transfers) == 5 * 2 * 2 * 2
    assert {t.weights for t in plan.transfers("random") if t.control} == {"fresh"}
    # Channels are exchangeable: shuffled they are the same job.
    assert jobs["shuffled", "channel", 0, 0.5].key == jobs["", "channel", 0, 0.5].key
    beside = jobs["", "weight", 1, 0.1]
    shuffled = jobs["shuffled", "weight", 1, 0.1]
    assert options(shuffled.spec) == options(beside.spec) | {"form": {"shuffled": {"conv1": 1, "conv2": 1}}}
    assert shuffled.label == "tiny transfer random weight s1 b10 fresh shuffled"
    assert options(jobs["flops", "weight", 1, 0.1].spec) == options(beside.spec) | {"flops_cap": 2.5}
    assert jobs["labels", "weight", 1, 0.1].label == "tiny transfer random weight s1 labels b10 fresh"
    rows = rows_of(plan, "random")
    assert {row.arm for row in rows} == {"", *ALL}
    assert {row.search_cell for row in rows if row.arm == "labels"} == set(keys(plan.search_jobs("random")[12:]))
    assert set(timings_of(plan, "random")["cells"]) >= set(keys(plan.pretrain_jobs()))


def test_everything_with_all_arms_is_computed(tmp_path):
    made = content(controls=["twice", *ALL], weights=["fresh"], shots=[1], flops_cap=2.0)
    made["run"]["methods"] = ["dense", "magnitude"]
    made["suites"]["tiny"]["grid"] |= {"granularities": ["weight"]}
    params = Params.model_validate(made)
    assert run_suite(params, workers=1, root=tmp_path) == 0
    for name in ("data", "pretrain"):
        assert stage(params, name, "tiny", root=tmp_path) == 0
    assert len(list(Places(tmp_path).artifacts("tiny", "pretrain").iterdir())) == 2
    for method in ("dense", "magnitude"):
        assert stage(params, "transfer", "tiny", method, root=tmp_path) == 0
    rows, _ = read_results(Places(tmp_path).results("tiny", "magnitude.json"))
    # seeds x budgets x draws, in the grid and in every control
    assert {control: sum(row.arm == control for row in rows) for control in ["", *ALL]} == dict.fromkeys(["", *ALL], 8)
    place = {(r.arm, r.granularity, r.seed, r.budget, r.draw): r for r in rows}
    for (control, *where), row in place.items():
        grid = place["", *where]
        assert row.architecture != grid.architecture or control in ("", "shuffled", "flops")
        if control == "flops":
            assert row.train_flops > 1.5 * grid.train_flops
        if control == "shuffled":
            assert (row.params, row.macs) == (grid.params, grid.macs)
            assert row.cell != grid.cell
    analyse_suite(params, "tiny", tmp_path)
    report_suite(params, "tiny", tmp_path)
    found = {r["arm"]: r["verdict"] for r in read_summary(tmp_path, "tiny")["arms"] if r["measure"] == "area"}
    assert list(found) == ALL and found["shuffled"] == "fewer than 3 seeds: unknown"
    table = (tmp_path / "reports/tables/tiny/arms.md").read_text()
    assert f"| weight | magnitude | {found['shuffled']} |" in table and "## flops, weight pruning" in table
    assert (tmp_path / "reports/figures/tiny/arms.png").exists()
