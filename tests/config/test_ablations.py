from pathlib import Path

import fabricated
import pytest
import torch
import yaml

from benchmark.config.ablations import Study, studies_of
from benchmark.config.params import Params, load_params, parse
from benchmark.errors import BenchError
from benchmark.jobs.results import Searched
from benchmark.pipeline.collect import searches_of
from benchmark.pipeline.similarity import kept_too, overlap
from benchmark.space.architecture import Architecture

REPOSITORY = Path(__file__).parents[2]
VARIANTS = {
    "a": {"params": {"law": "init"}, "study": "law"},
    "b": {"params": {"law": "pretrained"}, "study": "law"},
    "c": {"params": {"restarts": 1}},
}


@pytest.fixture
def content(tiny_params):
    found = yaml.safe_load(tiny_params.read_text())
    found["run"]["methods"] = ["dense", "dap"]
    found["methods"]["dap"] = {"variants": VARIANTS}
    return found


def checked(content) -> Params:
    return parse(Params, content, "params.yaml")


def masks(*groups):
    return {f"g{index}": torch.tensor(group, dtype=torch.bool) for index, group in enumerate(groups)}


def test_a_study_needs_all_its_variants(content):
    assert studies_of(checked(content), "tiny") == [Study("law", "dap", ("a", "b"))]
    for chosen, expected in ((["b", "a"], 1), (["a", "c"], 0), ([], 0)):
        content["suites"]["tiny"]["methods"]["dap"] = {"variants": chosen}
        assert len(studies_of(checked(content), "tiny")) == expected
    content["suites"]["tiny"]["methods"]["dap"] = {}
    content["run"]["methods"] = ["dense"]
    assert studies_of(checked(content), "tiny") == []


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [
        ("dap", "The law", "methods.dap.variants.a.study: expected a name of small letters, digits, - and _"),
        ("dap", 3, "methods.dap.variants.a.study: expected a valid string"),
        ("random", "law", "methods: the study 'law' has variants of random and of dap; a study is about one method"),
    ],
)
def test_a_bad_study_is_told_by_its_key(content, method, name, message):
    content["methods"][method]["variants"] = {
        **content["methods"][method].get("variants", {}),
        "a": {"params": {}, "study": name},
    }
    with pytest.raises(BenchError) as caught:
        checked(content)
    assert message in str(caught.value)


def test_a_study_is_in_no_key(content, tmp_path):
    def keys():
        return [job.key for job in fabricated.plan_for(checked(content), tmp_path).search_jobs("dap")]

    before = keys()
    content["methods"]["dap"]["variants"] = {name: {"params": variant["params"]} for name, variant in VARIANTS.items()}
    assert len(before) == 4 * 2 * 2
    assert keys() == before


def test_the_ablation_runs_every_study_on_the_task_of_glyphs_rivals_and_no_other_suite_any():
    params = load_params(REPOSITORY / "params.yaml")
    assert [study.name for study in studies_of(params, "ablation")] == [
        *("temperature", "units", "law", "depth", "width", "path", "retraining")
    ]
    assert {name for name in params.suites if studies_of(params, name)} == {"ablation"}
    rivals, ablation = params.suites["glyphs-rivals"], params.suites["ablation"]
    for section in ("data", "model", "training", "tuning"):
        assert getattr(rivals, section) == getattr(ablation, section)
    assert rivals.grid.model_copy(update={"seeds": ablation.grid.seeds}) == ablation.grid
    assert rivals.transfer.nearest == ablation.transfer.nearest


def test_overlap_by_hand():
    first = masks([1, 1, 0, 0], [1, 0])
    second = masks([1, 0, 1, 0], [1, 1])
    # 3 and 4 units, 2 in common; by chance 2 x 2 / 4 in the first group and 1 x 2 / 2 in the second.
    assert overlap(first, second) == pytest.approx((2 / 3.5, 2 / 3.5))
    assert overlap(second, first) == overlap(first, second)
    assert overlap(first, first) == pytest.approx((1.0, (2 * 2 / 4 + 1 / 2) / 3))


def test_kept_too_by_hand():
    small, large = masks([1, 1, 0, 0], [1, 0]), masks([1, 0, 1, 1], [1, 1])
    assert kept_too(small, large) == pytest.approx(2 / 3)
    assert kept_too(small, small) == 1


# What the searches of three seeds keep of one group of four units, at the budgets 0.5 and 0.1.
KEPT = {
    0: {0.5: [1, 1, 0, 0], 0.1: [1, 0, 0, 0]},
    1: {0.5: [1, 0, 1, 0], 0.1: [0, 1, 0, 0]},
    2: {0.5: [1, 1, 0, 0], 0.1: [1, 0, 0, 0]},
}


def finish_searches(plan, notes=None):
    """Finish DAP's searches with the architectures of `KEPT`, alike for all variants and granularities."""
    for search in plan.searches("dap"):
        found, files = [], {}
        for budget, mask in KEPT[search.seed].items():
            made = Architecture(search.granularity, masks(mask))
            entry = fabricated.architecture(search.job.spec, budget, made.kept)
            found.append(entry.model_copy(update={"sizes": made.sizes, "digest": made.digest, "notes": notes or {}}))
            files |= {entry.file: made.content(), entry.state_file: b"weights"}
        values = Searched(architectures=found, flops=300, pretrain_flops=0)
        fabricated.finish(plan.store, search.job, values, files)


def test_what_a_study_is_told_of_searches(content, tmp_path):
    content["suites"]["tiny"]["grid"] |= {"seeds": [0, 1, 2], "granularities": ["weight"]}
    plan = fabricated.plan_for(checked(content), tmp_path)
    finish_searches(plan, {"relaxed": 0.5, "discrete": 0.25})
    found = searches_of(plan, "dap")
    assert {tuple(entry["notes"].items()) for entry in found["architectures"]} == {
        (("relaxed", 0.5), ("discrete", 0.25))
    }
    of_b = [entry for entry in found["overlaps"] if entry["variant"] == "b"]
    place = {"variant": "b", "granularity": "weight"}
    assert of_b == [
        # The pairs have 1, 2 and 1 of 2 units in common; by chance 2 x 2 / 4 of 2.
        {**place, "budget": 0.5, "pairs": 3, "share": pytest.approx((0.5 + 1 + 0.5) / 3), "chance": pytest.approx(0.5)},
        {**place, "budget": 0.1, "pairs": 3, "share": pytest.approx(1 / 3), "chance": pytest.approx(0.25)},
    ]
    assert [(e["seed"], e["budget"], e["share"]) for e in found["nested"] if e["variant"] == "b"] == [
        (0, 0.1, 1.0),
        (1, 0.1, 0.0),
        (2, 0.1, 1.0),
    ]
    assert len(found["overlaps"]) == 4 * 2


def test_without_a_study_the_search_file_is_as_it_was(content, tmp_path):
    content["suites"]["tiny"]["methods"]["dap"] = {"variants": ["c"]}
    plan = fabricated.plan_for(checked(content), tmp_path)
    finish_searches(plan)
    found = searches_of(plan, "dap")
    assert set(found) == {"schema", "architectures", "traces"}
    assert not any("notes" in entry for entry in found["architectures"])


def test_one_seed_has_no_overlap(content, tmp_path):
    content["suites"]["tiny"]["grid"] |= {"seeds": [0], "granularities": ["weight"]}
    plan = fabricated.plan_for(checked(content), tmp_path)
    finish_searches(plan)
    found = searches_of(plan, "dap")
    assert found["overlaps"] == []
    assert len(found["nested"]) == 4
