"""One network of the zoo: its search space, random architectures of it, and whether all numbers agree."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark.errors import BenchError
from benchmark.space import ChannelSpace, build_space, count
from benchmark.space.graph.plain_run import plain_operators
from benchmark.space.surgery import mask_and_cut
from benchmark.studies.zoo.network import images, outputs, prepared, told

EFFECT = 1e-3  # of the outputs, for a comparison to say something
BUDGETS = (0.5, 0.1, 0.02)
SHARE = 0.6  # of the parameters, in groups, for a network to be served
FLOAT64, FLOAT32 = 1e-9, 1e-5  # the largest error, in standard deviations of the outputs
DERIVED = 100_000_000  # of a network's weights at most, in tensors drawn at random, are gradients compared: for memory
FLOOR = 1e-3  # of the largest gradient: what a tensor's error is relative to where its own gradients are smaller
DISAGREE = 1e9  # the error of what is not finite, or has another shape
REASONS = 3  # that a refusal names
Kind = Literal["float64", "float32", "gradient", "statistics"]


class Whole(TypedDict):
    """Why channels are left whole, and how many groups for that reason."""

    reason: str
    groups: int


class Errors(TypedDict):
    """The largest relative errors over a network's architectures; None where nothing was compared.

    `gradient` and `statistics` (running ones, of batch norm) are those of one training step.
    """

    float64: float | None
    float32: float | None
    gradient: float | None
    statistics: float | None


class Row(TypedDict):
    """What the zoo says about one network.

    `status` is "ok" or "refused", with a `reason`. `wrong` says that the network was treated, and a number disagreed.
    `input` is the side of the images; `params` and `macs` are the large network's. `share` of the parameters lie in
    `groups` of `units` in all. `whole` are the groups that never lose a unit. `minimum` is the smallest complexity,
    `complexities` are those of the architectures, `effect` is by how much the least of them changes the outputs, in
    their standard deviations. `costs` says whether all counts of the extracted networks agree,
    `note` why something was not compared.
    """

    model: str
    family: str
    status: str
    reason: str
    wrong: bool
    input: int | None
    params: int | None
    macs: int | None
    share: float | None
    groups: int | None
    units: int | None
    whole: list[Whole]
    minimum: float | None
    complexities: list[float]
    effect: float | None
    errors: Errors
    costs: bool | None
    note: str
    seconds: float


def refused(name: str, family: str, reason: str, wrong: bool = False) -> Row:
    """Return the row of a network that is not served."""
    return Row(
        model=name,
        family=family,
        status="refused",
        reason=reason,
        wrong=wrong,
        input=None,
        params=None,
        macs=None,
        share=None,
        groups=None,
        units=None,
        whole=[],
        minimum=None,
        complexities=[],
        effect=None,
        errors=Errors(float64=None, float32=None, gradient=None, statistics=None),
        costs=None,
        note="",
        seconds=0.0,
    )


def check(name: str, family: str) -> Row:
    """Build the network `name`, prune it at random to several sizes, and compare masked with extracted."""
    begin = time.perf_counter()
    row = refused(name, family, "")
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            _fill(row)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    row["seconds"] = round(time.perf_counter() - begin, 1)
    return row


def _fill(row: Row) -> None:
    try:
        model, size = prepared(row["model"])
    except BenchError as error:
        row["reason"] = str(error)
        return
    row["input"] = size
    row["params"], row["macs"] = count(model, images(size, 1))
    try:
        space = build_space(model, images(size, 1), "channel")
    except BenchError as error:
        row["reason"] = str(error)
        return
    assert isinstance(space, ChannelSpace)
    _describe(row, space)
    try:
        _compare(row, space, model, size)
    except Exception as error:  # a network that was treated must not fail
        row["wrong"], row["reason"] = True, told(error)
        return
    faults = _faults(row)
    row["wrong"] = bool(faults)
    if not faults and row["share"] is not None and row["share"] < SHARE:
        faults = [f"only {row['share']:.0%} of the parameters lie in groups. Left whole: {_commonest(row['whole'])}"]
    row["reason"] = "; ".join(faults)
    row["status"] = "refused" if faults else "ok"


def _describe(row: Row, space: ChannelSpace) -> None:
    reasons = Counter(_kind(reason) for reason in space.graph.whole.values())
    row["whole"] = [Whole(reason=reason, groups=groups) for reason, groups in reasons.most_common()]
    row["share"] = round(space.share, 4)
    row["groups"], row["units"] = len(space.groups), space.n
    row["minimum"] = round(space.minimum, 6)


def _kind(reason: str) -> str:
    """Return a reason without what differs from layer to layer: the places of blocks, and sizes."""
    return re.sub(r"\.\d+(?=[. ]|$)", ".#", re.sub(r" \(.*\)$", "", reason))


def placeless(reason: str) -> str:
    """Return a reason without the module it is in, whose name says little outside its network; a file's name does."""
    return re.sub(r" in (?!\S*\.py\b)[\w#]+(\.[\w#]+)*", "", reason)


def _commonest(whole: list[Whole]) -> str:
    groups: Counter[str] = Counter()
    for entry in whole:
        groups[placeless(entry["reason"])] += entry["groups"]
    return "; ".join(f"{reason} ({number})" for reason, number in groups.most_common(REASONS))


def _faults(row: Row) -> list[str]:
    limits: dict[Kind, float] = {"float64": FLOAT64, "float32": FLOAT32, "gradient": FLOAT64, "statistics": FLOAT64}
    faults = []
    for kind, limit in limits.items():
        error = row["errors"][kind]
        if error is not None and error > limit:
            faults.append(f"{kind}: error {error:.1e}, at most {limit:.0e} is right")
    if row["effect"] is not None and row["effect"] < EFFECT:
        faults.append("nothing was compared: pruning hardly changes the outputs")
    return faults if row["costs"] else [*faults, "costs of extracted networks are counted differently"]


def _compare(row: Row, space: ChannelSpace, model: nn.Module, size: int) -> None:
    masks = _masks(space)
    row["complexities"] = [round(space.complexity(mask), 6) for mask in masks]
    x, image = images(size), images(size, 1)
    equal = True
    for mask in masks:
        extracted = space.extract(model, space.architecture(mask)).eval()
        _worst(row, "float32", _apart(_masked(model, space, mask, x), _run(extracted, x)))
        equal &= _same_costs(space, mask, extracted, image)
    row["costs"] = equal
    model.double().train().eval()  # some networks keep what they computed in eval mode, until they are trained
    x = x.double()
    dense = _run(model, x)
    effects = []
    for mask in masks:
        extracted = space.extract(model, space.architecture(mask)).eval()
        masked = _masked(model, space, mask, x)
        effects.append(_apart(dense, masked))
        _worst(row, "float64", _apart(masked, _run(extracted, x)))
        _step(row, space, mask, model, extracted, x)
    row["effect"] = min(effects)


def _masks(space: ChannelSpace) -> list[Tensor]:
    """Return random architectures at the budgets, or at the smallest feasible one above; equal ones once."""
    generator = torch.Generator().manual_seed(3)
    budgets = dict.fromkeys(max(budget, space.minimum) for budget in BUDGETS)
    return [space.project(torch.rand(space.n, generator=generator), budget) for budget in budgets]


@torch.no_grad()
def _run(model: nn.Module, x: Tensor) -> list[Tensor]:
    return outputs(model(x))


@torch.no_grad()
def _masked(model: nn.Module, space: ChannelSpace, mask: Tensor, x: Tensor) -> list[Tensor]:
    gated = space.gate(dict(model.named_parameters()), mask.to(x.dtype))
    return outputs(mask_and_cut.run(model, gated, x))


def _apart(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Return the largest difference, in standard deviations of the output it is in."""
    if len(ours) != len(theirs):
        return DISAGREE
    return max(_relative(one, other, float(one.std())) for one, other in zip(ours, theirs, strict=True))


def _relative(one: Tensor, other: Tensor, scale: float) -> float:
    if one.shape != other.shape:
        return DISAGREE
    # What is equal does not differ, infinite bounds that a network keeps as buffers among it.
    differences = (one - other).where(one != other, 0)
    error = float(differences.abs().max()) / (scale or 1.0) if one.numel() else 0.0
    return error if error < DISAGREE else DISAGREE  # also where it is not a number


def _same_costs(space: ChannelSpace, mask: Tensor, extracted: nn.Module, image: Tensor) -> bool:
    """Return whether space, own counter and torch's counter give one cost."""
    extracted.requires_grad_(False)  # torch's counter stumbles over views of parameters that want gradients
    # It does not know recurrent layers that run as one operator.
    with plain_operators(extracted), FlopCounterMode(display=False) as counter:
        extracted(image)
    own = count(extracted, image)
    return own == (space.params(mask), space.macs(mask)) and 2 * own[1] == counter.get_total_flops()


def _step(row: Row, space: ChannelSpace, mask: Tensor, model: nn.Module, extracted: nn.Module, x: Tensor) -> None:
    """Compare gradients and running statistics of one training step."""
    if row["note"]:
        return
    model.train()
    extracted.train()
    before = torch.get_rng_state()
    names = _drawn({name: parameter.numel() for name, parameter in model.named_parameters()})
    try:
        full = _stepped(model, x, names, lambda parameters: space.gate(parameters, mask.to(x.dtype)))
    except RuntimeError as error:
        row["note"] = f"no training step: {told(error)}"
        return
    finally:
        model.eval()
    if not torch.equal(before, torch.get_rng_state()):
        row["note"] = "no training step: its forward pass draws random numbers"
        return
    small = _stepped(extracted, x, names, dict)
    kept = space.shrink({**full[0], **full[1]}, mask)
    largest = max(float(gradient.abs().max()) for gradient in small[0].values())
    compared: list[tuple[Kind, dict[str, Tensor], float]] = [
        ("gradient", small[0], FLOOR * largest),
        ("statistics", small[1], 0.0),
    ]
    for kind, tensors, floor in compared:
        for name, tensor in tensors.items():
            finite = tensor[tensor.isfinite()].abs()
            size = float(finite.max()) if finite.numel() else 0.0
            _worst(row, kind, _relative(kept[name], tensor, max(size, floor)))


def _drawn(sizes: Mapping[str, int]) -> set[str]:
    """Return the names of tensors whose gradients are compared: all of them, or as many as there may be."""
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(5)).tolist()
    names, left = list(sizes), DERIVED
    found = set()
    for place in order:
        if sizes[names[place]] <= left:
            found.add(names[place])
            left -= sizes[names[place]]
    return found


def _stepped(
    model: nn.Module, x: Tensor, names: set[str], gate: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the gradients of these parameters, and the floating-point buffers of the state after the forward pass."""
    parameters = {name: p.detach().requires_grad_(name in names) for name, p in model.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found = outputs(mask_and_cut.run(model, {**gate(parameters), **buffers}, x))
    generator = torch.Generator().manual_seed(4)
    targets = [torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) for tensor in found]
    loss = torch.stack([(one - other).square().mean() for one, other in zip(found, targets, strict=True)]).sum()
    leaves = {name: parameter for name, parameter in parameters.items() if name in names}
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    # Those that belong to the state; what a module computes for itself (a blur's kernel) has no place in it.
    state = model.state_dict().keys()
    floating = {name: buffer for name, buffer in buffers.items() if name in state and buffer.is_floating_point()}
    return dict(zip(leaves, gradients, strict=True)), floating


def _worst(row: Row, kind: Kind, error: float) -> None:
    row["errors"][kind] = max(row["errors"][kind] or 0.0, error)
