"""The check that blocks must pass: taking them out computes what silencing them computes, and costs what is stated."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.models.copying import copied
from benchmark.space.graph.dataflow import Dataflow
from benchmark.space.graph.dependencies import DependencyGraph
from benchmark.space.graph.macs import tally
from benchmark.space.surgery.blocks import Block
from benchmark.space.surgery.channel_check import TOLERANCE, operation, shake
from benchmark.space.surgery.find_blocks import find
from benchmark.space.surgery.identity_paths import obstacle
from benchmark.space.surgery.skip import Skipping
from benchmark.space.surgery.trial_run import Setting, flat, images_like, training_settings


def skippable(
    model: nn.Module, example_input: Tensor, graph: DependencyGraph
) -> tuple[Skipping | None, dict[str, str], str]:
    """Return the blocks of `model` that can be skipped, beside cutting the units of `graph`, and why others are whole.

    The last is why the model's multiply-accumulates are not known, empty where they are.

    Blocks of a kind are a group, of which an architecture keeps at least one: a block that is alone is none. The rest
    runs in a copy of `model` in double precision with weights drawn so that no branch is silent, on a random image and
    as in training on several: with blocks silenced and channels masked, and without them, with equal random numbers.
    What differs is tried in another form, then left whole.
    """
    if next(model.parameters()).device.type != "cpu":
        model = copied(model).cpu()
    image = example_input[:1].detach().cpu()
    flow = Dataflow(model, image)
    blocks, whole = find(model, flow)
    obstacles = {block.name: obstacle(block, graph) for block in blocks if block.layer}
    whole |= {name: reason for name, reason in obstacles.items() if reason}
    blocks = [block for block in blocks if block.name not in whole]
    blocks = _grouped(blocks, whole)
    trial = _Trial(model, image, graph, flow)
    if blocks and trial.problem(blocks):
        found: list[Block] = []
        for block in [_in_form(trial, block) for block in blocks]:
            problem = trial.problem([*found, block])
            if problem:
                whole[block.name] = problem
            else:
                found.append(block)
        blocks = _grouped(found, whole)
    return (trial.skipping(blocks) if blocks else None), whole, flow.uncounted.fault


def _grouped(blocks: Sequence[Block], whole: dict[str, str]) -> list[Block]:
    """Return the blocks that are not alone, kind by kind in the order of the run."""
    kinds: dict[object, list[Block]] = defaultdict(list)
    for block in blocks:
        kinds[block.kind].append(block)
    for members in kinds.values():
        if len(members) == 1:
            whole[members[0].name] = "is the only block of its kind"
    return [block for members in kinds.values() if len(members) > 1 for block in members]


def _in_form(trial: "_Trial", block: Block) -> Block:
    """Return the block in the first form in which it alone passes the check, or as it is."""
    form: Block | None = block
    while form is not None and trial.problem([form]):
        form = form.next_form()
    return form or block


class _Trial:
    """A model with loud weights, to be run with blocks skipped and silenced."""

    def __init__(self, model: nn.Module, image: Tensor, graph: DependencyGraph, flow: Dataflow) -> None:
        self._graph, self._flow = graph, flow
        self._model = copied(model).double().eval().requires_grad_(False)
        images = images_like(image)
        self._image = images[:1]
        shake(self._model, self._image)
        self._settings = [Setting(self._image), *training_settings(self._model, images)]
        self._channels = torch.cat([_some(*group) for group in graph.groups.items()] or [torch.ones(0)]).bool()

    def skipping(self, blocks: Sequence[Block]) -> Skipping:
        """Return what skips these blocks."""
        nodes = self._flow.nodes
        macs = [sum(node.macs for node in nodes if any(m in node.modules for m in block.gone)) for block in blocks]
        return Skipping(self._model, blocks, self._graph, [*macs, sum(node.macs for node in nodes)])

    def problem(self, blocks: Sequence[Block]) -> str:
        """Return why these blocks cannot be skipped, all of them or every other one, or nothing."""
        skipping = self.skipping(blocks)
        for step in (1, 2):
            kept = torch.ones(len(blocks), dtype=torch.bool)
            kept[::step] = False
            problem = self._difference(skipping, torch.cat([kept, self._channels]))
            if problem:
                return problem
        return ""

    def _difference(self, skipping: Skipping, mask: Tensor) -> str:
        for setting in self._settings:
            try:
                network = skipping.extracted(self._model, mask, own=False)
                without = setting.output(network)
            except Exception as error:
                return f"cannot be skipped{setting}: {operation(error)}"
            difference = setting.difference(self._silenced(skipping, mask, setting), without)
            if not difference <= TOLERANCE:
                return f"skipping it is not silencing it{setting} (outputs differ by {difference:.0e})"
        stated = tuple(skipping.costs[kind].of_kept(skipping.kept(mask)) for kind in ("params", "macs"))
        counted = tally(network, self._image)[:2]
        return "" if stated == counted else f"its cost does not go with it (stated {stated}, counted {counted})"

    def _silenced(self, skipping: Skipping, mask: Tensor, setting: Setting) -> Tensor:
        tensors = dict(self._model.named_parameters())
        with setting.of(self._model):
            tensors |= {name: buffer.clone() for name, buffer in self._model.named_buffers()}
            return flat(skipping.run(self._model, tensors, mask.double(), setting.images))


def _some(name: str, size: int) -> Tensor:
    """Return some units of a group of channels, of every group another number."""
    share, *draw = torch.rand(size + 1, generator=seeds.generator(0, "skipping", name)).tolist()
    return torch.tensor([one < share or one == min(draw) for one in draw])
