"""Step two: a pruner searches the large model's space on the source, and never sees a target."""

from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from benchmark.cells import Cell, CellOutput, Context
from benchmark.files import share
from benchmark.protocol.source import open_source
from benchmark.pruner import Problem, SubNetwork
from benchmark.registry import pruner
from benchmark.space import build_space
from benchmark.space.state import pack_state


def compute(cell: Cell, context: Context) -> CellOutput:
    """Run the cell's pruner; returns an architecture file and a weights file per budget, and the compute it took."""
    spec = cell.spec
    source = open_source(cell, context)
    network = source.large_model()
    pretrained = context.store.get(spec["pretrain"])

    def load_pretrained() -> tuple[dict[str, Tensor], int]:
        return load_file(pretrained.files["final.safetensors"]), pretrained.values["flops"]

    method = pruner(spec["method"])
    method_instance = method(method.Parameters(**spec["params"]))
    problem = Problem(
        space=build_space(network, source.example().to(source.device), spec["granularity"], spec["cost"]),
        network=network,
        train=source.train,
        validation=source.validation,
        recipe=source.recipe,
        budgets=method_instance.budgets(spec["budgets"]),
        seed=spec["seed"],
        device=source.device,
        load_pretrained=load_pretrained,
        progress=lambda share: context.progress(cell.label, share),
    )
    found = method_instance.search(problem)
    search_pretrain = problem.pretrain_flops
    inherited = pretrained.values["flops"]
    values, files = [], {}
    for sub in found:
        name = f"b{share(sub.budget)}.safetensors"
        state_name = f"b{share(sub.budget)}.weights.safetensors"
        state = load_pretrained()[0] if sub.state is None else {k: v.cpu() for k, v in sub.state.items()}
        architecture = problem.space.architecture(sub.mask, _metadata(spec, sub, problem, method.reference))
        files[name] = architecture.content()
        files[state_name] = pack_state(problem.space, sub.mask, state)
        values.append(
            {
                "budget": sub.budget,
                "complexity": problem.space.complexity(sub.mask),
                "params": problem.space.params(sub.mask),
                "macs": problem.space.macs(sub.mask),
                "kept": architecture.kept,
                "sizes": architecture.sizes,
                "digest": architecture.digest,
                "file": name,
                "state_file": state_name,
                "state_pretrain_flops": inherited if sub.state is None else search_pretrain,
            }
        )
    return CellOutput(
        values={
            "architectures": values,
            "flops": problem.flops,
            "pretrain_flops": search_pretrain,
            "trace": problem.trace or None,
        },
        files=files,
    )


def _metadata(spec: dict[str, Any], sub: SubNetwork, problem: Problem, reference: str) -> dict[str, Any]:
    return {
        "model": spec["model"],
        "source": spec["source"],
        "method": spec["method"],
        "parameters": spec["params"],
        "reference": reference,
        "seed": spec["seed"],
        "budget": sub.budget,
        "complexity": problem.space.complexity(sub.mask),
        "input": [problem.train.images.shape[1], *problem.train.images.shape[2:]],
        "classes": int(problem.train.labels.max()) + 1,
    }
