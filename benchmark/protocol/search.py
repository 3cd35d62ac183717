"""Step two: a pruner searches the large model's space on the source, and never sees a target."""

import math
from collections.abc import Iterator
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from benchmark.errors import BenchError
from benchmark.files import share
from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.options import options
from benchmark.jobs.results import Found, Pretrained, Searched
from benchmark.jobs.specs import SearchSpec
from benchmark.jobs.store import Context
from benchmark.protocol.permutations import open_searched
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.registry import pruner
from benchmark.space import SearchSpace, build_space
from benchmark.space.weights_file import pack_state


def compute(job: Job[SearchSpec], context: Context) -> JobOutput:
    """Run the job's pruner; returns an architecture file and a weights file per budget, and the compute it took."""
    spec = job.spec
    source = open_searched(spec, context)
    network = source.large_model()
    pretrained = context.store.get(spec.pretrain)
    large = pretrained.read(Pretrained)

    def load_pretrained() -> tuple[dict[str, Tensor], int]:
        return load_file(pretrained.files["final.safetensors"]), large.flops

    method = pruner(spec.method)
    method_instance = method(method.Parameters.model_validate(spec.params))
    problem = Problem(
        space=build_space(network, source.example().to(source.device), spec.granularity, spec.cost),
        network=network,
        train=source.train,
        validation=source.validation,
        recipe=source.recipe,
        budgets=method_instance.budgets(spec.budgets),
        seed=spec.seed,
        device=source.device,
        load_pretrained=load_pretrained,
        elsewhere=spec.pretrained is not None,
        inverted=spec.sanity == "inverted",
        progress=lambda share: context.progress(job.label, share),
    )
    found = method_instance.search(problem)
    if problem.inverted and not problem.asked_for_inversion:
        raise BenchError(
            f"{method.name}: the control inverted finds no scores to invert; "
            "give them to `problem.project` or `problem.apply_inversion`"
        )
    _check_budgets(method.name, problem, found)
    search_pretrain = problem.pretrain_flops
    found_here, files = [], {}
    for sub in found:
        name = f"b{share(sub.budget)}.safetensors"
        state_name = f"b{share(sub.budget)}.weights.safetensors"
        state = load_pretrained()[0] if sub.state is None else {k: v.cpu() for k, v in sub.state.items()}
        architecture = problem.space.architecture(sub.mask, _metadata(spec, sub, problem, method.reference))
        files[name] = architecture.content()
        files[state_name] = pack_state(problem.space, sub.mask, state)
        found_here.append(
            Found(
                budget=sub.budget,
                complexity=problem.space.complexity(sub.mask),
                params=problem.space.params(sub.mask),
                macs=problem.space.macs(sub.mask),
                kept=architecture.kept,
                sizes=architecture.sizes,
                digest=architecture.digest,
                file=name,
                state_file=state_name,
                origin=sub.origin,
                notes=sub.notes,
                state_pretrain_flops=large.flops if sub.state is None else search_pretrain,
            )
        )
    values = Searched(
        architectures=found_here, flops=problem.flops, pretrain_flops=search_pretrain, trace=problem.trace or None
    )
    return JobOutput(values, files)


def _check_budgets(method: str, problem: Problem, found: list[SubNetwork]) -> None:
    """Raise `BenchError` unless every budget is met, from below and within the cost of one unit."""
    asked, answered = (", ".join(f"{b:g}" for b in bs) for bs in (problem.budgets, [sub.budget for sub in found]))
    if asked != answered:
        raise BenchError(f"{method}: returned architectures for the budgets {answered}; expected {asked}, in order")
    space = problem.space
    for sub in found:
        spent = space.exact_cost(sub.mask)
        left = sub.budget * space.total - spent
        dearest = max((space.exact_cost(more) - spent for more in _one_more(space, sub.mask)), default=math.inf)
        if not 0 <= left < dearest:
            raise BenchError(
                f"{method}: budget {sub.budget:g} missed, the architecture has complexity {spent / space.total:.6f}; "
                "rank the units and let `problem.project` cut"
            )


def _one_more(space: SearchSpace, mask: Tensor) -> Iterator[Tensor]:
    """The masks with one more unit, one for each range of units of the same cost that lacks any."""
    for part in space.alike:
        if not bool(mask[part].all()):
            more = mask.clone()
            more[part.start + int(mask[part].int().argmin())] = True
            yield more


def _metadata(spec: SearchSpec, sub: SubNetwork, problem: Problem, reference: str) -> dict[str, Any]:
    return {
        "model": options(spec.model),
        **({} if spec.pretrained is None else {"pretrained": spec.pretrained}),
        "source": options(spec.source),
        "method": spec.method,
        "parameters": spec.params,
        "reference": reference,
        "seed": spec.seed,
        **({} if spec.sanity is None else {"sanity": spec.sanity}),
        "budget": sub.budget,
        "origin": sub.origin,
        "complexity": problem.space.complexity(sub.mask),
        "input": list(problem.train.shape),
        "classes": int(problem.train.labels.max()) + 1,
    }
