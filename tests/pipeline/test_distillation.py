"""Retrainings under a teacher: their jobs, what they wait for, what their rows say, and the whole of a tiny suite."""

import json
from dataclasses import replace

import fabricated
import pytest
import yaml
from tiny import TINY

from benchmark.analysis import analyse_suite
from benchmark.analysis.rows import read_results
from benchmark.config.params import Params
from benchmark.jobs.options import options
from benchmark.pipeline import one_off
from benchmark.pipeline.collect import result_rows, rows_of, searches_of
from benchmark.pipeline.flow import Flow
from benchmark.pipeline.stages import Places, run_suite, stage
from benchmark.report import report_suite
from benchmark.report.protocol import protocol
from benchmark.tracking.parameters import effective

VARIANTS = {"taught": {"distil": "logits"}, "alike": {"distil": "structured"}}


def content(variants=VARIANTS, **transfer):
    made = yaml.safe_load(TINY)
    made["methods"]["uniform"] = {"variants": variants}
    made["suites"]["tiny"]["transfer"] |= transfer
    made["run"]["methods"] = ["dense", "uniform"]
    return made


@pytest.fixture
def planned(tmp_path):
    def make(variants=VARIANTS, **transfer):
        return fabricated.plan_for(Params.model_validate(content(variants, **transfer)), tmp_path)

    return make


def by_place(plan):
    fabricated.everything(plan)
    return {
        (t.search.variant, t.search.granularity, t.search.seed, t.architecture.budget, t.weights, t.control): t.job
        for t in plan.transfers("uniform")
    }


def test_a_variant_has_searches_in_common_and_a_teacher_where_it_trains_on_the_source(planned):
    plan = planned()
    jobs = by_place(plan)
    pretrain = {job.spec.seed: job.key for job in plan.pretrain_jobs()}
    searches = {variant: [s.job.key for s in plan.searches("uniform") if s.variant == variant] for variant in VARIANTS}
    assert searches["taught"] == searches["alike"] == [s.job.key for s in plan.searches("uniform")[:4]]
    for (variant, granularity, seed, budget, weights, control), job in jobs.items():
        default = jobs["", granularity, seed, budget, weights, control]
        if not variant or weights != "fresh":
            assert job.key == default.key
            continue
        settings = {"structure": 0.0} if variant == "taught" else {}
        assert options(job.spec) == options(default.spec) | {"teacher": pretrain[seed], "distillation": settings}


def test_a_suite_gives_all_a_teacher_but_the_variant_that_has_none(planned):
    plain = by_place(planned({"none": {"distil": "none"}}))
    plan = planned({"none": {"distil": "none"}}, distil="structured", distillation={"temperature": 2.0})
    jobs = by_place(plan)
    assert {jobs[place].key == plain[place].key for place in jobs if place[0] == "none" or place[4] != "fresh"} == {
        True
    }
    taught = [job.spec for (variant, *_, weights, _), job in jobs.items() if not variant and weights == "fresh"]
    assert {options(spec.distillation)["temperature"] for spec in taught} == {2.0}
    dense = [t.job.spec for t in plan.transfers("dense") if t.weights == "fresh"]
    assert {spec.teacher for spec in (*dense, *taught)} == {job.key for job in plan.pretrain_jobs()}


def test_no_recipe_of_a_target_has_a_teacher(planned):
    for job in by_place(planned(distil="logits")).values():
        spec = options(job.spec)
        assert all(
            "distillation" not in target and "distillation" not in target["recipe"] for target in spec["targets"]
        )
        assert ("teacher" in spec) == (job.spec.weights == "fresh")


def test_in_the_control_of_permuted_labels_the_teacher_saw_the_true_ones(planned):
    plan = planned({}, distil="logits", controls=["labels"])
    jobs = by_place(plan)
    true = {job.key for job in plan.pretrain_jobs() if job.spec.sanity is None}
    found = [job.spec.teacher for (*_, control), job in jobs.items() if control == "labels"]
    assert found and set(found) == true
    rows = {(row.arm, row.weights): row.pretrain_flops for row in rows_of(plan, "uniform")}
    # Searches that need no pretraining: only that of the teacher is left.
    assert rows["labels", "fresh"] == rows["", "fresh"] == 700 and rows["", "scratch"] == 0


def test_a_teachers_pretraining_is_charged_once(planned):
    plan = planned()
    fabricated.everything(plan)
    rows = {(row.variant, row.weights): row.pretrain_flops for row in rows_of(plan, "uniform")}
    assert rows["", "fresh"] == rows["taught", "scratch"] == 0
    assert rows["taught", "fresh"] == rows["alike", "fresh"] == 700
    assert rows["taught", "inherit"] == rows["", "inherit"] == 700
    # A search that asked for the same pretraining has paid for it.
    for transfer in plan.transfers("uniform"):
        asked = replace(transfer, found=transfer.found.model_copy(update={"pretrain_flops": 700}))
        assert {row.pretrain_flops for row in result_rows(plan, asked)} == {700}


def test_the_file_of_searches_says_who_has_a_teacher(planned):
    plan = planned()
    fabricated.everything(plan)
    told = {(entry["variant"], entry.get("distil")) for entry in searches_of(plan, "uniform")["architectures"]}
    assert told == {("", None), ("taught", "logits"), ("alike", "structured")}


def test_a_retraining_waits_for_its_teacher(planned, tmp_path):
    plan = planned({}, distil="logits", controls=["labels"])
    fabricated.everything(plan)
    lost = plan.pretrain_jobs()[0]
    plan.store.folder(lost.key).rename(tmp_path / "away")
    left = plan.transfer_jobs("uniform", finished_only=True)
    assert left and lost.key not in {job.spec.teacher for job in left}
    for job in plan.transfer_jobs("uniform"):
        if job.spec.teacher == lost.key:
            plan.store.folder(job.key).rename(tmp_path / job.key)
    flow = Flow([(plan, plan.methods)])
    assert [job.key for job in flow.first()] == [lost.key]
    # All its searches failed with it, also where those of the control did not.
    assert flow.after(lost, False) == []
    (tmp_path / "away").rename(plan.store.folder(lost.key))
    flow = Flow([(plan, plan.methods)])
    assert {job.spec.teacher for job in flow.first()} == {lost.key}


def test_an_unset_option_is_dumped_nowhere():
    plain, set_ = (Params.model_validate(content(variants, **more)) for variants, more in (({}, {}), (VARIANTS, SET)))
    assert not {"distil", "distillation"} & set(plain.suites["tiny"].transfer.model_dump(mode="json"))
    dumped = set_.model_dump(mode="json", exclude_unset=True)
    assert Params.model_validate(dumped) == set_
    assert "distil" not in effective(plain, "tiny", "uniform")
    told = effective(set_, "tiny", "uniform", "alike")
    assert (told["distil"], told["distillation.weight"]) == ("structured", "0.5")
    assert effective(set_, "tiny", "uniform")["distil"] == "logits"


SET = {"distil": "logits", "distillation": {"weight": 0.5}}


def test_the_protocol_names_the_teacher():
    for transfer, said in (({}, False), (SET, True)):
        paragraphs = protocol(Params.model_validate(content(**transfer)), "tiny")
        assert any("as a teacher (logits)" in text for text in paragraphs) == said


def test_a_suite_with_distilled_variants_is_computed_and_reported(tmp_path):
    made = content(weights=["fresh"], shots=[1])
    made["suites"]["tiny"]["grid"] |= {"granularities": ["channel"], "budgets": [0.5]}
    made["suites"]["tiny"]["training"] |= {"steps": 30, "lr": 0.1, "norm_momentum": 0.5}
    params = Params.model_validate(made)
    assert run_suite(params, workers=1, root=tmp_path) == 0
    before = {path.name for path in (tmp_path / ".jobs").glob("??/*")}
    # Per seed: a pretraining, two searches, the dense control's retraining and three of the architecture.
    assert len(before) == 2 * (1 + 2 + 1 + 3)
    for name in ("data", "pretrain"):
        assert stage(params, name, "tiny", root=tmp_path) == 0
    for name in ("search", "transfer"):
        for method in params.run.methods:
            assert stage(params, name, "tiny", method, root=tmp_path) == 0
    assert {path.name for path in (tmp_path / ".jobs").glob("??/*")} == before
    dense, _ = read_results(Places(tmp_path).results("tiny", "dense.json"))
    rows, _ = read_results(Places(tmp_path).results("tiny", "uniform.json"))
    by_variant = {variant: [row for row in rows if row.variant == variant] for variant in ("", *VARIANTS)}
    for variant in VARIANTS:
        for one, other in zip(by_variant[""], by_variant[variant], strict=True):
            assert (one.architecture, one.params, one.macs, one.seed) == (
                *(other.architecture, other.params, other.macs, other.seed),
            )
            assert other.train_flops - one.train_flops == 2 * dense[0].macs * 30 * 32
    sources = {variant: [row.source_accuracy for row in found] for variant, found in by_variant.items()}
    assert sources[""] != sources["taught"] != sources["alike"]
    summary = analyse_suite(params, "tiny", tmp_path)
    details = {finding["rule"]: finding["detail"] for finding in summary["audit"]}
    assert "under a teacher: uniform+taught, uniform+alike" in details["the same recipe for all methods"]
    assert {cell["variant"] for cell in summary["cells"]} == {"", *VARIANTS}
    report_suite(params, "tiny", tmp_path)
    # One architecture by itself, under the teacher that the suite gives to all.
    file = Places(tmp_path).artifacts("tiny", "search", "uniform") / "channel-default-s0-b50.safetensors"
    taught = Params.model_validate(made | {"suites": {"tiny": with_teacher(made["suites"]["tiny"])}})
    elsewhere = tmp_path / "elsewhere"
    found = one_off.transfer(taught, "tiny", file, "fresh", root=elsewhere)
    wanted = [(row.draw, row.accuracy, row.train_flops) for row in by_variant["taught"] if row.seed == 0]
    assert [(one.draw, one.accuracy, one.train_flops) for one in found.results] == wanted


def with_teacher(suite):
    return json.loads(json.dumps(suite)) | {"transfer": suite["transfer"] | {"distil": "logits"}}
