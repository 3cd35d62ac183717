"""Every pruner of channels meets budgets of peak memory."""

from typing import Any

import pytest
import torch
from problems import SIZE, problem, space_of, vgg

from benchmark.config.params import parse
from benchmark.networks.memory import peak_bytes
from benchmark.pruning.registry import pruners

SHORT: dict[str, Any] = {"steps": 4, "restarts": 2, "warmup": 1, "rounds": 3, "evaluations": 6, "population": 4}


@pytest.mark.parametrize("name", [name for name, kind in pruners().items() if "channel" in kind.granularities])
def test_every_pruner_meets_memory_budgets(name: str) -> None:
    kind = pruners()[name]
    short = {option: value for option, value in SHORT.items() if option in kind.Parameters.model_fields}
    pruner = kind(parse(kind.Parameters, short, name))
    made = problem("channel", pruner.budgets((0.5, 0.3)))
    made.space = space = space_of(vgg, "channel", "memory")
    found = pruner.search(made)
    assert [sub.budget for sub in found] == list(made.budgets)
    for sub in found:
        network = space.extract(made.network, space.architecture(sub.mask.cpu()))
        assert peak_bytes(network.eval(), torch.zeros(1, 1, SIZE, SIZE)) <= sub.budget * space.total
