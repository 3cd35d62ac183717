"""What a suite may have beside its grid: chosen learning rates, controls, and targets with tasks of their own."""

from collections import Counter

import fabricated
import pytest
import yaml
from tiny import TINY, rich

from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.jobs.options import options
from benchmark.jobs.results import Choice, Tuned
from benchmark.pipeline.collect import rows_of, tuning_of
from benchmark.pipeline.one_off import narrowed
from benchmark.pipeline.plan import Digests
from benchmark.pipeline.validate import check_methods

DIGESTS = Digests("s" * 64, {"digits-3-5": "t" * 64, "two-ways": "t" * 64, "merged": "u" * 64})
SOURCE = {
    "source": {"name": "digits", "classes": [0, 1, 2, 3]},
    "source_digest": "s" * 64,
    "split": {},
    "model": {"name": "own:vgg16", "width": 0.0625},
    "training": {"steps": 6, "batch": 32, "lr": 0.05},
    "device": "cpu",
}
DEFAULTS = {
    "flip": False,
    "precision": "float32",
    "shift": 1,
    "norm_momentum": 0.1,
}


@pytest.fixture
def planned(tmp_path):
    """Make a plan from the content of a params.yaml, all in one store."""

    def make(content):
        return fabricated.plan_for(Params.model_validate(content), tmp_path, digests=DIGESTS)

    return make


@pytest.fixture
def plain():
    return yaml.safe_load(TINY)


def specs(plan, method="uniform"):
    return [options(transfer.job.spec) for transfer in plan.transfers(method)]


def keys(jobs):
    return [job.key for job in jobs]


# What is left out


def test_a_suite_without_tuning_has_nothing_to_choose(planned, plain):
    plan = planned(plain)
    assert (plan.tunings(), plan.tune_jobs()) == ([], [])
    assert tuning_of(plan) == {"schema": 1, "rates": []}
    fabricated.search(plan, "uniform")
    assert specs(plan)[0] == {
        **SOURCE,
        "source": {"name": "digits", "classes": [0, 1, 2]},
        "seed": 0,
        "targets": [
            {
                "label": "digits-3-5",
                "ref": {"name": "digits", "classes": [3, 4, 5]},
                "digest": "t" * 64,
                "pool": 20,
                "shots": [1, 5],
                "draws": 2,
                "recipe": {"steps": 4, "batch": 15, "lr": 0.05},
            }
        ],
        "weights": "fresh",
        "granularity": "channel",
        "form": {"kept": {"conv1": 4, "conv2": 8}},
    }


def test_options_at_their_default_enter_no_spec(planned, plain):
    plan = planned(plain)
    fabricated.search(plan, "dense")
    before = [(transfer.job.key, transfer.control) for transfer in plan.transfers("dense")]
    suite = plain["suites"]["tiny"]
    suite["training"] |= DEFAULTS
    suite["transfer"]["finetune"] |= {**DEFAULTS, "trained": "all"}
    suite["transfer"]["scratch"] |= DEFAULTS
    suite["transfer"]["controls"] = []
    unset = dict.fromkeys(("shots", "draws", "pool", "steps", "batch", "test", "ways"))
    suite["data"]["targets"][0] |= unset
    suite["tuning"] = None
    plain["suites"]["tiny"]["methods"]["dense"] = {"params": {}, "variants": None}
    assert [(transfer.job.key, transfer.control) for transfer in planned(plain).transfers("dense")] == before
    suite["transfer"]["finetune"]["trained"] = "head"
    assert [spec["targets"][0]["recipe"].get("trained") for spec in specs(planned(plain), "dense")] == [
        "head",
        None,
        "head",
    ] * 4


# Targets


def test_a_target_s_own_tasks_stand_in_its_entry(planned):
    plan = planned(rich())
    fabricated.everything(plan, ["uniform"])
    for spec in specs(plan):
        ways, merged = spec["targets"]
        lr = ways["recipe"]["lr"]
        assert ways == {
            "label": "two-ways",
            "ref": {"name": "digits", "classes": [4, 5, 6, 7]},
            "digest": "t" * 64,
            "pool": 10,
            "shots": [1, 2],
            "draws": 3,
            "recipe": {"steps": 4, "batch": 15, "lr": lr},
            "test": 12,
            "ways": 2,
        }
        assert merged == {
            "label": "merged",
            "ref": {"name": "digits", "classes": [[4, 5], 8, 9]},
            "digest": "u" * 64,
            "pool": 20,
            "shots": [1, 5],
            "draws": 2,
            "recipe": {"steps": 3, "batch": 9, "lr": lr},
        }
    first = rows_of(plan, "uniform")[:10]
    assert [(row.target, row.shots, row.draw) for row in first] == [
        *[("two-ways", shots, draw) for shots in (1, 2) for draw in (0, 1, 2)],
        *[("merged", shots, draw) for shots in (1, 5) for draw in (0, 1)],
    ]
    # Six source steps, and the target's own number after them.
    assert [row.train_flops for row in first] == [14 * 6 + 4] * 6 + [14 * 6 + 3] * 4


@pytest.mark.parametrize("change", [{"draws": 4}, {"pool": 11}, {"test": 13}, {"ways": 3}, {"shots": [1]}], ids=str)
def test_a_target_s_own_option_changes_the_retrainings_only(planned, change):
    content = rich()
    plan = planned(content)
    fabricated.everything(plan, ["uniform"])
    before = [keys(jobs) for jobs in (plan.pretrain_jobs(), plan.tune_jobs(), plan.search_jobs("uniform"))]
    transfers = keys(plan.transfer_jobs("uniform"))
    content["suites"]["tiny"]["data"]["targets"][0] |= change
    plan = planned(content)
    assert [keys(jobs) for jobs in (plan.pretrain_jobs(), plan.tune_jobs(), plan.search_jobs("uniform"))] == before
    assert not set(keys(plan.transfer_jobs("uniform"))) & set(transfers)


# Learning rates


def test_rates_are_chosen_once_for_the_large_model_and_for_every_other_budget(planned):
    plan = planned(rich())
    assert [(tuning.granularity, tuning.budget) for tuning in plan.tunings()] == [
        ("channel", 1.0),
        ("channel", 0.5),
        ("channel", 0.1),
        ("weight", 0.5),
        ("weight", 0.1),
    ]
    jobs = plan.tune_jobs()
    assert jobs == [tuning.job for tuning in plan.tunings()]
    assert options(jobs[1].spec) == {
        **SOURCE,
        "seed": 1,
        "cost": "params",
        "granularity": "channel",
        "budget": 0.5,
        "factors": [0.5, 2.0],
        "architectures": 2,
        "finetune": {"steps": 4, "batch": 15, "lr": 0.05},
        "scratch": {"steps": 4, "batch": 15, "lr": 0.05},
        "shots": [1, 5],
        "draws": 2,
        "seeds": [1],
    }
    assert jobs[1].label == "tiny tune channel b50"
    assert jobs[1].modules == ("benchmark.models.own.vgg16",)
    assert len(set(keys(jobs))) == 5
    content = rich()
    content["suites"]["tiny"]["transfer"]["weights"] = ["fresh", "inherit"]
    assert all("scratch" not in options(job.spec) for job in planned(content).tune_jobs())


def test_rates_know_of_no_target_and_of_no_method(planned):
    content = rich()
    plan = planned(content)
    jobs = plan.tune_jobs()
    for job in jobs:
        text = str(options(job.spec))
        assert job.inputs == {}
        assert not [word for word in ("two-ways", "merged", "t" * 64, "u" * 64, "[4, 5", *plan.methods) if word in text]
    content["run"]["methods"] = ["uniform"]
    del content["suites"]["tiny"]["data"]["targets"][0]
    assert keys(planned(content).tune_jobs()) == keys(jobs)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("tuning", {"seeds": [0]}),
        ("tuning", {"factors": [1.0]}),
        ("tuning", {"architectures": 1}),
        ("training", {"lr": 1}),
    ],
    ids=str,
)
def test_what_decides_the_rates_is_in_their_keys(planned, section, change):
    content = rich()
    before = keys(planned(content).tune_jobs())
    content["suites"]["tiny"][section] |= change
    assert not set(keys(planned(content).tune_jobs())) & set(before)


@pytest.mark.parametrize("method", ["uniform", "dense"])
def test_the_chosen_rates_are_those_of_the_retrainings(planned, method):
    """Those made up are the budget, plus 10 for weights, plus 1 for training, 2 for finetune and 3 for scratch."""
    plan = planned(rich())
    fabricated.everything(plan, [method])
    seen = set()
    for transfer in plan.transfers(method):
        budget, granularity = transfer.architecture.budget, transfer.search.granularity
        # The large model is the same at every granularity, and its rates are those of the first.
        first = budget + (10 if granularity == "weight" and budget < 1 else 0)
        spec = options(transfer.job.spec)
        assert spec["training"]["lr"] == (first + 1 if transfer.weights == "fresh" else 0.05)
        wanted = first + (3 if transfer.weights == "scratch" else 2)
        assert [target["recipe"]["lr"] for target in spec["targets"]] == [wanted, wanted]
        seen.add((granularity, budget, transfer.weights))
    assert len(seen) == 2 * 3 * (2 if method == "uniform" else 1)


def test_tuning_changes_no_search_and_what_it_chose_is_all_that_reaches_a_retraining(planned):
    content = rich()
    plan = planned(content)
    fabricated.pretrain(plan)
    fabricated.search(plan, "uniform")
    untuned = rich()
    untuned["suites"]["tiny"]["tuning"] = None
    without = planned(untuned)
    assert keys(plan.search_jobs("uniform")) == keys(without.search_jobs("uniform"))
    assert keys(plan.pretrain_jobs()) == keys(without.pretrain_jobs())
    for job in plan.tune_jobs():
        own = {kind: Choice(lr=0.05, tried=[]) for kind in ("training", "finetune", "scratch")}
        fabricated.finish(plan.store, job, Tuned(rates=own))
    # The recipes' own rates were chosen: the retrainings are those of a suite without tuning.
    assert keys(plan.transfer_jobs("uniform")) == keys(without.transfer_jobs("uniform"))


def test_a_retraining_waits_for_its_rates(planned):
    plan = planned(rich())
    for method in ("uniform", "dense"):
        fabricated.search(plan, method)
    with pytest.raises(KeyError):
        list(plan.transfers("uniform"))
    assert plan.transfer_jobs("uniform", finished_only=True) == []
    half = next(tuning.job for tuning in plan.tunings() if (tuning.granularity, tuning.budget) == ("weight", 0.5))
    rates = {kind: Choice(lr=0.3, tried=[]) for kind in ("training", "finetune", "scratch")}
    fabricated.finish(plan.store, half, Tuned(rates=rates))
    found = list(plan.transfers("uniform", finished_only=True))
    assert Counter((t.search.granularity, t.architecture.budget) for t in found) == {("weight", 0.5): 6}
    assert plan.transfer_jobs("dense", finished_only=True) == []


def test_every_choice_is_told_with_what_was_tried(planned):
    plan = planned(rich())
    fabricated.tune(plan)
    told = tuning_of(plan)
    assert told["schema"] == 1
    assert len(told["rates"]) == 5 * 3
    assert told["rates"][4] == {
        "granularity": "channel",
        "budget": 0.5,
        "kind": "finetune",
        "lr": 2.5,
        "tried": [{"lr": 2.5, "accuracy": 0.5}],
        "cell": plan.tune_jobs()[1].key,
    }
    assert {entry["granularity"] for entry in told["rates"] if entry["budget"] == 1.0} == {"channel"}


# Controls


def test_the_arm_twice_is_the_dense_control_with_twice_the_steps(planned):
    content = rich()
    plan = planned(content)
    fabricated.everything(plan, ["dense", "uniform"])
    for method, controls in (("dense", {"", "twice"}), ("uniform", {""})):
        assert {transfer.control for transfer in plan.transfers(method)} == controls
    ordinary = {
        (t.search.granularity, t.search.seed): t.job
        for t in plan.transfers("dense")
        if (t.control, t.weights) == ("", "fresh")
    }
    twice = [transfer for transfer in plan.transfers("dense") if transfer.control == "twice"]
    assert [(t.search.granularity, t.search.seed, t.weights) for t in twice] == [
        (granularity, seed, "fresh") for granularity in ("channel", "weight") for seed in (0, 1)
    ]
    for transfer in twice:
        beside = ordinary[transfer.search.granularity, transfer.search.seed]
        training = {"steps": 12, "batch": 32, "lr": 2.0}
        assert options(transfer.job.spec) == {**options(beside.spec), "training": training}
        assert options(beside.spec)["training"] == {**training, "steps": 6}
        assert transfer.job.inputs == beside.inputs
        assert transfer.job.label == f"{beside.label} twice"
    without = rich()
    without["suites"]["tiny"]["transfer"]["controls"] = []
    assert set(keys(plan.transfer_jobs("dense"))) - set(keys(planned(without).transfer_jobs("dense"))) == {
        transfer.job.key for transfer in twice
    }


def test_rows_of_the_arm_twice_say_so(planned):
    plan = planned(rich())
    fabricated.everything(plan, ["dense", "uniform"])
    assert {row.arm for row in rows_of(plan, "uniform")} == {""}
    rows = rows_of(plan, "dense")
    twice = [row for row in rows if row.arm]
    # granularities x seeds x (3 draws x 2 shots + 2 draws x 2 shots)
    assert len(twice) == 2 * 2 * 10
    ordinary = {
        (row.granularity, row.seed, row.target, row.shots, row.draw): row
        for row in rows
        if row.weights == "fresh" and not row.arm
    }
    for row in twice:
        beside = ordinary[row.granularity, row.seed, row.target, row.shots, row.draw]
        assert row.train_flops - beside.train_flops == 14 * 6
        own = {"arm": "twice", "train_flops": row.train_flops, "cell": row.cell}
        assert row == beside.model_copy(update=own)
        assert row.cell != beside.cell


# Variants


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["", "ratios", "live"]),
        ({"variants": ["live"]}, ["", "live"]),
        ({"variants": ["live", "ratios"]}, ["", "live", "ratios"]),
        ({"variants": []}, [""]),
    ],
    ids=str,
)
def test_a_suite_says_which_variants_run(planned, plain, chosen, expected):
    plain["methods"]["random"]["variants"]["live"] = {
        "params": {"allocation": "ratios"},
        "granularities": ["channel"],
    }
    plain["suites"]["other"] = {**plain["suites"]["tiny"], "methods": {"random": {}}}
    plain["suites"]["tiny"]["methods"]["random"] = chosen
    found = [search.variant for search in planned(plain).searches("random")]
    assert list(dict.fromkeys(found)) == expected
    # A variant's own granularities hold in every suite: two seeds each.
    assert Counter(found) == {variant: 2 if variant == "live" else 4 for variant in expected}
    other = fabricated.plan_for(Params.model_validate(plain), planned(plain).store.root.parent, "other", DIGESTS)
    assert {search.variant for search in other.searches("random")} == {"", "ratios", "live"}


def test_the_suite_s_parameters_and_its_variants_go_together(planned, plain):
    plain["suites"]["tiny"]["methods"]["random"] = {"params": {"allocation": "ratios"}, "variants": []}
    plan = planned(plain)
    assert [search.method.params for search in plan.searches("random")] == [{"allocation": "ratios"}] * 4


def test_the_code_of_the_choice_of_rates_is_fingerprinted(planned, plain):
    assert set(planned(plain).code()) == {
        "pretrain",
        "tune",
        "floors",
        "transfer",
        *(f"search-{name}" for name in ("dense", "uniform", "random", "magnitude")),
    }


# One place of the grid


@pytest.mark.parametrize("chosen", [None, [], ["ratios"]], ids=str)
def test_a_single_search_is_that_of_the_grid_whichever_variants_run(planned, plain, chosen):
    plain["suites"]["tiny"]["methods"]["random"] = {"variants": chosen}
    plan = planned(plain)
    for variant in ("", "ratios"):
        params = narrowed(plan.params, "tiny", "random", "weight", 1, variant)
        (search,) = fabricated.plan_for(params, plan.store.root.parent, digests=DIGESTS).searches("random")
        plain["suites"]["tiny"]["methods"]["random"] = {}
        grid = {(s.variant, s.granularity, s.seed): s.job.key for s in planned(plain).searches("random")}
        assert search.job.key == grid[variant, "weight", 1]


def test_a_suite_s_parameters_are_checked_with_the_variants_that_it_runs(plain):
    plain["methods"]["dap"] = {"variants": {"short": {"params": {"restarts": 6}}}}
    own = plain["suites"]["tiny"]["methods"]["dap"] = {"params": {"steps": 2}, "variants": []}
    check_methods(Params.model_validate(plain), "params.yaml")
    del own["variants"]
    with pytest.raises(BenchError, match=r"suites.tiny.methods.dap.params: restarts \(6\) must not exceed steps \(2\)"):
        check_methods(Params.model_validate(plain), "params.yaml")
