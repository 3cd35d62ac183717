"""What holds for every registered pruner, at every granularity it serves and for each of its options."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from problems import (
    BUDGETS,
    CLASSES,
    SHALLOW,
    SIZE,
    dearest_unit,
    pretrained_weights,
    problem,
    resnet,
    space_of,
    vgg,
)
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.analysis.result_files import TracePoint
from benchmark.config.params import Section, parse
from benchmark.errors import BenchError
from benchmark.models.layout import is_order
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.registry import pruners

# Searches are shortened by these, in whatever pruner has a parameter of that name.
SHORT: dict[str, Any] = {
    **{"steps": 4, "restarts": 2, "warmup": 1, "drop": 0.5, "rounds": 3},
    **{"evaluations": 6, "population": 4, "meta_steps": 6, "models": 2, "lengths": [0.0, 1.0]},
}


@dataclass(frozen=True)
class Case:
    method: str
    granularity: str
    options: tuple[tuple[str, Any], ...]

    def __hash__(self) -> int:
        return hash(str(self))  # an option may be a list

    def __str__(self) -> str:
        return "-".join([self.method, self.granularity, *(f"{name}={value}" for name, value in self.options)])

    @property
    def kind(self) -> type[Pruner]:
        return pruners()[self.method]

    @property
    def build(self) -> Callable[[], nn.Module]:
        """The large model: one with residual branches, where depth and width are pruned; else a plain one."""
        return resnet if self.granularity == "block+channel" else vgg

    def problem(self, seed: int = 0, **more: Any) -> Problem:
        budgets = self.pruner().budgets(SHALLOW if self.granularity == "block" else BUDGETS)
        return problem(self.granularity, budgets, seed, self.build, **more)

    def pruner(self) -> Pruner:
        kind = self.kind
        short = {name: value for name, value in SHORT.items() if name in kind.Parameters.model_fields}
        return kind(parse(kind.Parameters, short | dict(self.options), self.method))


@dataclass
class Outcome:
    problem: Problem
    found: list[SubNetwork]
    progress: list[float]
    drew_globally: bool

    def content(self) -> list[Any]:
        """All that a search leaves, in a form that compares bit by bit."""
        states = [{n: t.numpy().tobytes() for n, t in sub.state.items()} if sub.state else None for sub in self.found]
        account = (self.problem.flops, self.problem.pretrain_flops)
        return [[(sub.budget, sub.mask.numpy().tobytes()) for sub in self.found], states, self.problem.trace, account]


def cases() -> Iterator[Case]:
    for name, kind in pruners().items():
        options: list[dict[str, Any]] = [{}]
        for key, field in kind.Parameters.model_fields.items():
            if get_origin(field.annotation) is Literal:
                options += [{key: value} for value in get_args(field.annotation) if value != field.default]
        for chosen in [*options, *kind.examples]:
            for granularity in kind.granularities:
                yield Case(name, granularity, tuple(chosen.items()))


CASES = list(cases())
every = pytest.mark.parametrize("case", CASES, ids=str)


def searched(case: Case, seed: int, global_seed: int, made: Problem | None = None) -> Outcome:
    reports: list[float] = []
    pruner = case.pruner()
    made = case.problem(seed, progress=reports.append) if made is None else made
    made.load_pretrained()
    torch.manual_seed(global_seed)
    state = torch.get_rng_state()
    found = pruner.search(made)
    return Outcome(made, found, reports, not torch.equal(torch.get_rng_state(), state))


@cache
def outcome(case: Case, seed: int = 0) -> Outcome:
    return searched(case, seed, global_seed=1)


class Counting:
    """Counts in operations the images that pass a problem's own network; a backward pass is twice a forward pass.

    What `Problem.retrain` and `Problem.evaluate` show to networks is charged by them, and not counted here; nor is what
    a pruner's own model costs, which has other multiply-accumulates than the large one. A problem that the pruner makes
    of a network it has cut out is counted like the one it was given.
    """

    def __init__(self, made: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown = self.charged = 0
        self.aside = False
        self.watched: list[nn.Module] = []
        self.watch(made)
        for name in ("retrain", "evaluate"):
            # On the class: a pruner may train by a copy of the problem, with another recipe.
            monkeypatch.setattr(Problem, name, self.apart(getattr(Problem, name)))
        monkeypatch.setattr(Problem, "charge", self.of_own_models(Problem.charge))
        monkeypatch.setattr(Problem, "__init__", self.watching(Problem.__init__))

    def watch(self, made: Problem) -> None:
        if any(network is made.network for network in self.watched):
            return
        self.watched.append(made.network)
        macs, first = made.dense_macs, next(made.network.children())

        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if module is first and not self.aside:  # what is cut out of the network copies its hooks
                self.shown += 2 * macs * len(inputs[0]) * (3 if torch.is_grad_enabled() else 1)

        first.register_forward_hook(count)

    def watching(self, init: Callable[..., None]) -> Callable[..., None]:
        def call(made: Problem, *arguments: Any, **named: Any) -> None:
            init(made, *arguments, **named)
            self.watch(made)

        return call

    def of_own_models(self, charge: Callable[..., Any]) -> Callable[..., Any]:
        def call(made: Problem, macs: int, images: int, training: bool = True) -> None:
            before = made.flops
            charge(made, macs, images, training)
            if macs != made.dense_macs and not self.aside:
                self.charged += made.flops - before

        return call

    def apart(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(made: Problem, *arguments: Any, **named: Any) -> Any:
            before, self.aside = made.flops, True
            try:
                return method(made, *arguments, **named)
            finally:
                self.charged, self.aside = self.charged + made.flops - before, False

        return call


@cache
def again(case: Case) -> tuple[Outcome, Counting]:
    """The search of `outcome` a second time, with other global random numbers, and what it showed to networks."""
    with pytest.MonkeyPatch.context() as patch:
        made = case.problem()
        counted = Counting(made, patch)
        return searched(case, 0, 2, made), counted


@pytest.mark.parametrize("kind", pruners().values(), ids=lambda kind: kind.name)
def test_a_pruner_says_what_it_is(kind: type[Pruner]) -> None:
    assert kind.__doc__ is not None and kind.__doc__ != Pruner.__doc__
    assert kind.reference.strip() and kind.granularities
    assert set(kind.granularities) <= {"channel", "weight", "block", "block+channel"}
    assert issubclass(kind.Parameters, Section) and kind.Parameters.__doc__
    # The docstring cites what the reference names: each of its arXiv numbers.
    for number in (word.strip(",;.") for word in kind.reference.split() if word[:4].isdigit() and "." in word):
        assert number in kind.__doc__
    # Works without any parameter given, and asks for the suite's budgets from the largest down.
    budgets = kind().budgets([0.1, 0.5, 0.02])
    assert budgets in ((0.5, 0.1, 0.02), (1.0,))


@pytest.mark.parametrize("kind", pruners().values(), ids=lambda kind: kind.name)
def test_an_unknown_parameter_is_refused(kind: type[Pruner]) -> None:
    with pytest.raises(BenchError, match=r"^here: p\.nonsense: unknown key; "):
        parse(kind.Parameters, {"nonsense": 1}, "here", "p")
    for key in kind.Parameters.model_fields:
        with pytest.raises(BenchError, match=rf"^here: p\.{key}: expected"):
            parse(kind.Parameters, {key: {"no": "parameter"}}, "here", "p")


@every
def test_every_budget_is_met_from_below_within_one_unit(case: Case) -> None:
    result = outcome(case)
    space = result.problem.space
    assert tuple(sub.budget for sub in result.found) == result.problem.budgets
    for sub in result.found:
        assert sub.mask.dtype == torch.bool and sub.mask.shape == (space.n,)
        left = sub.budget * space.total - space.exact_cost(sub.mask)
        assert left >= 0
        assert left < dearest_unit(space, sub.mask) or bool(sub.mask.all())


@every
def test_no_group_is_empty_and_the_input_reaches_the_output(case: Case) -> None:
    network = case.build().double().eval()
    space = space_of(case.build, case.granularity)
    # With positive weights nothing cancels and no unit is dead: a signal is lost only where the mask cuts it.
    ones = {name: torch.ones_like(p) for name, p in network.named_parameters() if not name.endswith("bias")}
    shifts = {name: torch.zeros_like(p) for name, p in network.named_parameters() if name.endswith("bias")}
    for sub in outcome(case).found:
        assert all(bool(part.any()) for part in sub.mask.split(space.sizes))
        images = torch.ones(1, 1, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
        logits = functional_call(network, space.gate({**ones, **shifts}, sub.mask.double()), (images,))
        (gradient,) = torch.autograd.grad(logits.sum(), images)
        assert float(logits.detach().max()) > 0 and float(gradient.max()) > 0


@every
def test_a_search_is_a_function_of_its_seed(case: Case) -> None:
    once, (twice, _) = outcome(case), again(case)
    assert once.content() == twice.content()
    assert not once.drew_globally and not twice.drew_globally


@pytest.mark.parametrize("case", [case for case in CASES if not case.options], ids=str)
def test_another_seed_gives_another_search(case: Case) -> None:
    same = outcome(case, 1).content() == outcome(case, 0).content()
    assert same == (not case.kind.seeded)


@every
def test_inputs_are_left_as_they_were(case: Case) -> None:
    given = {name: tensor.clone() for name, tensor in pretrained_weights(0, case.build)[0].items()}
    before = case.problem()
    result = outcome(case)
    for name, tensor in pretrained_weights(0, case.build)[0].items():
        assert torch.equal(tensor, given[name]) and not tensor.requires_grad
    for part in ("train", "validation"):
        now, then = getattr(result.problem, part), getattr(before, part)
        assert torch.equal(now.images, then.images) and torch.equal(now.labels, then.labels)
    network = result.problem.network
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in case.build().state_dict().items()
    }
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    hooks = [{**module._forward_hooks, **module._forward_pre_hooks} for module in network.modules()]
    assert all(map(is_order, (hook for some in hooks for hook in some.values())))


@every
def test_own_weights_are_whole(case: Case) -> None:
    expected = case.build().state_dict()
    for sub in outcome(case).found:
        if sub.state is None:
            continue
        assert set(sub.state) == set(expected)
        for name, tensor in sub.state.items():
            assert tensor.shape == expected[name].shape and tensor.dtype == expected[name].dtype
            assert bool(torch.isfinite(tensor).all()) and not tensor.requires_grad
        head = sub.state["head.weight"]
        assert head.shape[0] == CLASSES and bool((head != 0).any())


@pytest.mark.parametrize("case", [case for case in CASES if case.kind.nested], ids=str)
def test_smaller_architectures_are_parts_of_larger_ones(case: Case) -> None:
    masks = [sub.mask for sub in outcome(case).found]
    for larger, smaller in pairwise(masks):
        assert not bool((smaller & ~larger).any())
        assert int(smaller.sum()) < int(larger.sum())


@every
def test_compute_is_charged(case: Case) -> None:
    result = outcome(case)
    assert result.problem.flops > 0 or not case.kind.trains
    asked = case.pruner().needs_pretrained()
    assert result.problem.pretrain_flops == (pretrained_weights(0, case.build)[1] if asked else 0)


@pytest.mark.parametrize("case", [case for case in CASES if not case.options], ids=str)
def test_only_what_trains_has_weights_or_a_trace(case: Case) -> None:
    result = outcome(case)
    left = bool(result.problem.trace) or any(sub.state is not None for sub in result.found)
    assert not left or case.kind.trains


@pytest.mark.parametrize("case", [case for case in CASES if not case.options and case.kind.trains], ids=str)
def test_a_trace_is_one_that_result_files_hold_however_short_the_training(case: Case) -> None:
    known = outcome(case).problem
    recipe = known.recipe.model_copy(update={"steps": 1})
    short = replace(known, recipe=recipe, trace=[], progress=lambda _share: None)
    case.pruner().search(short)
    for point in [*known.trace, *short.trace]:
        TracePoint.model_validate(point)


@every
def test_the_account_is_what_the_large_model_was_shown(case: Case) -> None:
    result, counted = again(case)
    assert result.problem.flops - counted.charged == counted.shown


@every
def test_progress_rises_to_one(case: Case) -> None:
    result = outcome(case)
    assert bool(result.progress) or not case.kind.trains
    if result.progress:
        assert result.progress == sorted(result.progress) and result.progress[0] > 0
        assert result.progress[-1] == 1


@pytest.mark.parametrize("case", [case for case in CASES if not case.options], ids=str)
def test_an_interrupt_gets_through(case: Case) -> None:
    calls = 0

    def interrupt(share: float) -> None:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    pruner = case.pruner()
    made = case.problem(progress=interrupt)
    if outcome(case).progress:
        with pytest.raises(KeyboardInterrupt):
            pruner.search(made)
        assert calls == 1
    else:
        pruner.search(made)
