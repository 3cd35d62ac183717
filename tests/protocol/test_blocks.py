"""Searches and transfers whose architectures differ in depth."""

import pytest
from lab import RESNET, Lab, changed
from safetensors.torch import load

from benchmark.jobs.job import Job


def searched(lab: Lab, method: str, granularity: str, **params: int) -> Job:
    job = lab.search(method, granularity, model=RESNET, **params)
    return changed(job, budgets=[0.8, 0.5])


@pytest.mark.parametrize("granularity", ["block", "block+channel"])
@pytest.mark.parametrize(
    ("method", "params"),
    [("uniform", {}), ("random", {}), ("magnitude", {}), ("dap", {"steps": 4, "restarts": 2, "warmup": 1})],
)
def test_every_kind_of_method_searches_blocks(lab: Lab, method: str, params: dict[str, int], granularity: str) -> None:
    found = lab.output(searched(lab, method, granularity, **params))
    for entry, budget in zip(found.values.architectures, (0.8, 0.5), strict=True):
        assert entry.complexity <= budget
        stages = {name: entry.kept[name] for name in ("blocks.0", "blocks.3", "blocks.6")}
        assert all(1 <= kept <= 3 for kept in stages.values())
        if granularity == "block":
            assert set(entry.kept) == set(stages) and sum(stages.values()) < 9
            # What is skipped is not in the file.
            names = load(found.files[entry.state_file])
            assert len([name for name in names if name.endswith("conv1.weight")]) == sum(stages.values())


@pytest.mark.parametrize(
    ("method", "params"),
    [("uniform", {}), ("random", {}), ("magnitude", {}), ("dap", {"steps": 4, "restarts": 2, "warmup": 1})],
)
def test_every_kind_of_method_searches_layers_and_channels_of_a_plain_network(
    lab: Lab, method: str, params: dict[str, int]
) -> None:
    budgets = (0.5, 0.1, 0.03)
    search = changed(lab.search(method, "block+channel", **params), budgets=list(budgets))
    found = lab.output(search).values.architectures
    for entry, budget in zip(found, budgets, strict=True):
        assert entry.complexity <= budget and all(kept >= 1 for kept in entry.kept.values())
    depths = [entry.kept["features.3 (block)"] for entry in found]
    assert depths == sorted(depths, reverse=True) and depths[-1] < entry.sizes["features.3 (block)"] == 9
    done = lab.output(lab.transfer(search, "inherit", budget=0.03)).values
    assert (done.params, done.macs) == (entry.params, entry.macs)


@pytest.mark.parametrize("weights", ["fresh", "scratch", "inherit"])
def test_a_shallower_network_is_retrained(lab: Lab, weights: str) -> None:
    found = searched(lab, "magnitude", "block")
    done = lab.output(lab.transfer(found, weights, budget=0.5)).values
    entry = lab.output(found).values.architectures[1]
    assert (done.params, done.macs) == (entry.params, entry.macs)
    assert len(done.results) == 4 and all(0 <= result.accuracy <= 1 for result in done.results)
