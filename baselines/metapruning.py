"""A metanetwork on the graph of channels makes a network easier to prune; then channels go by group norm."""

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark import seeds
from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.pruning.channel_graph import KERNEL, REST, ChannelGraph
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.space import BlockSpace, ChannelSpace
from benchmark.training.loop import loss_of

CONTRAST = 16.0  # how much harder the penalty weighs on the least important channel than on the most important
State = dict[str, Tensor]


class MetaPruning(Pruner):
    """Change the pretrained weights by a trained metanetwork, fine-tune, and keep the channels of largest group norm.

    The network is a graph: channels are nodes, kernels edges. A message-passing metanetwork, trained on several
    networks of the same architecture, adds to all weights at once what lets the loss stay low and the less important
    channels shrink. Liu et al. 2025, Meta Pruning via Graph Metanetworks, arXiv 2506.12041 (graph, metanetwork,
    meta-loss, group norm relative to its largest), from the description of its official code.

    Ours: the networks that it is trained on are short source trainings from other draws; their number, the number of
    steps and the step to use are fixed in advance; losses are those of few batches, the penalty scaled with them;
    coupled channels are one node; the fine-tuning takes a tenth of the recipe's rate; blocks are ranked by the norm of
    their filters, relative to the largest block's.
    """

    name = "metapruning"
    reference = "Liu et al. 2025, arXiv 2506.12041"
    label = "MetaPruning"
    color = "#88CCEE"
    marker = "star10"
    granularities = ("channel", "block+channel")
    uses_pretrained = True
    trains = True
    nested = True

    class Parameters(Section):
        """`r`: how much of the metanetwork's change is added (0: none, and nothing is trained for it).

        `width` and `layers` of the metanetwork; `models`: the networks it is trained on, each for `length` of the
        recipe's steps; `meta_steps` of AdamW at `meta_lr`, each on `batches` batches (0 steps: a random metanetwork).
        `penalty` on the weights' energy beside a loss of one batch. `finetune`: the share of the recipe's steps.
        """

        r: NonNegative = 0.05
        width: Count = 16
        layers: Count = 3
        models: Count = 3
        length: Positive = 0.25
        meta_steps: Annotated[int, Field(ge=0)] = 60
        meta_lr: Positive = 1e-3
        batches: Count = 4
        penalty: NonNegative = 0.1
        finetune: Positive = 0.25

    examples = ({"r": 0.0}, {"meta_steps": 0})

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures by one ranking, and the fine-tuned weights."""
        p, space = self.parameters, problem.space
        assert isinstance(space, ChannelSpace | BlockSpace)
        graph = ChannelGraph(space, problem.network)
        state = problem.pretrained()
        if p.r > 0:
            with torch.random.fork_rng():
                torch.manual_seed(seeds.derive(problem.seed, "search", "metanetwork"))
                net = MetaNetwork(graph, p.width, p.layers).to(problem.device)
            trained_on(problem, graph, net, p)
            with torch.no_grad():
                state = changed(problem, graph, net, state, p.r)
        recipe = problem.recipe
        steps = max(1, round(p.finetune * recipe.steps))
        tuned = _retrained(problem, state, steps, recipe.lr / 10)
        problem.progress(1.0)
        return problem.project(ranking(problem, graph, tuned), tuned)


def trained_on(problem: Problem, graph: ChannelGraph, net: "MetaNetwork", p: MetaPruning.Parameters) -> None:
    """Train the metanetwork on networks of short source trainings."""
    steps = max(1, round(p.length * problem.recipe.steps))
    count = p.models if p.meta_steps else 0
    models = [_retrained(problem, problem.draw(number), steps, problem.recipe.lr) for number in range(count)]
    optimizer = torch.optim.AdamW(net.parameters(), lr=p.meta_lr, weight_decay=5e-4)
    recipe = problem.recipe.model_copy(update={"steps": max(1, p.meta_steps * p.batches)})
    data = problem.batches(problem.train, recipe, "meta")
    for step in range(p.meta_steps):
        moved = changed(problem, graph, net, models[step % len(models)], p.r)
        objective = p.penalty * p.batches * penalty(graph, moved)
        for _ in range(p.batches):
            images, labels = next(data)
            objective = objective + _loss(problem, moved, images, labels)
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
        problem.progress((step + 1) / (p.meta_steps + 1))


def _retrained(problem: Problem, state: State, steps: int, lr: float) -> State:
    """The state after a training of the whole network of so many steps, by the recipe's schedule."""
    trial = replace(problem, recipe=problem.recipe.model_copy(update={"steps": steps, "lr": lr}))
    trained = trial.retrain(torch.ones(problem.space.n, dtype=torch.bool), state)
    problem.flops = trial.flops
    return trained


def changed(problem: Problem, graph: ChannelGraph, net: "MetaNetwork", state: State, r: float) -> State:
    """Return the state plus `r` times what the metanetwork says, differentiable in the metanetwork."""
    nodes, edges = net(*graph.read(state))
    problem.charge(net.macs, 1, training=torch.is_grad_enabled())
    return graph.written(state, r * nodes, r * edges)


def _loss(problem: Problem, state: State, images: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy by the statistics that the state has, as the source takes it."""
    problem.network.eval()
    every = torch.ones(problem.space.n, device=problem.device)
    problem.charge(problem.dense_macs, len(labels))
    return loss_of(problem.space.run(problem.network, state, every, images), labels)


def penalty(graph: ChannelGraph, state: State) -> Tensor:
    """Return half the energy of all channels, each weighed the more the less important it is.

    The weight is `CONTRAST` to the power of how far the importance lies below the largest, relative to their range; it
    is a constant for the gradient.
    """
    energy = graph.importance(state)
    with torch.no_grad():
        importance = energy.sqrt()
        span = (importance.max() - importance.min()).clamp(min=1e-12)
        weights = CONTRAST ** ((importance.max() - importance) / span)
    return (weights * energy).sum() / 2


def ranking(problem: Problem, graph: ChannelGraph, state: State) -> Tensor:
    """Return every unit's group norm [n] relative to the largest of its group, blocks to the largest block."""
    space = problem.space
    channels = graph.importance(state).sqrt().double().cpu()
    blocks = magnitude_importance(space, state, "l2")[: len(space.blocks)]
    if len(blocks):
        blocks = blocks / blocks.max()
    scores = torch.cat([blocks, channels])
    for group in space.groups:
        part = space.offsets[group.name]
        if part.start >= len(blocks):
            scores[part] = scores[part] / scores[part].max().clamp(min=1e-30)
    return scores


class MetaNetwork(nn.Module):
    """Messages along the edges, once in their direction and once against it; returns changes of nodes and edges.

    In a layer, with x the nodes and e the edges: messages f(x) at the target times g(x) at the source times e, gathered
    at the target by mean, deviation, maximum and minimum; edges change by h(x) at the source times k(x) at the target
    times e. Against the direction edges count with the opposite sign in half of their features.
    """

    source: Tensor
    target: Tensor
    signs: Tensor

    def __init__(self, graph: ChannelGraph, width: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("source", graph.source)
        self.register_buffer("target", graph.target)
        self.nodes, self.width = graph.nodes, width
        self.of_nodes, self.of_edges = nn.Linear(len(REST), width), nn.Linear(KERNEL, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.to_nodes, self.to_edges = _decoder(width, 2), _decoder(width, KERNEL)
        signs = torch.ones(width)
        signs[width // 2 :] = -1
        self.register_buffer("signs", signs)

    @property
    def macs(self) -> int:
        """The multiply-accumulates of one run."""
        h, edges = self.width, len(self.source)
        ends = self.nodes * (len(REST) * h + h * h + 2 * h) + edges * (KERNEL * h + h * h + h * KERNEL)
        return ends + len(self.layers) * 2 * (self.nodes * 8 * h * h + edges * 4 * h)

    def forward(self, nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Return the changes [nodes, 2] of scales and shifts and [edges, 9] of kernels."""
        x, e = self.of_nodes(nodes), self.of_edges(edges)
        for layer in self.layers:
            ahead = layer(x, e, self.source, self.target)
            back = layer(x, e * self.signs, self.target, self.source)
            x, e = x + ahead[0] + back[0], e + ahead[1] + back[1] * self.signs
        return self.to_nodes(x), self.to_edges(e)


class Layer(nn.Module):
    """One exchange of messages in one direction."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.at_target, self.at_source = nn.Linear(width, width), nn.Linear(width, width)
        self.gather = nn.Linear(4 * width, width)
        self.edge_source, self.edge_target = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, e: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is to be added to nodes [nodes, width] and edges [edges, width]."""
        x = F.layer_norm(x, x.shape[-1:])
        messages = F.silu(self.at_target(x))[target] * F.silu(self.at_source(x))[source] * e
        gathered = self.gather(_gathered(messages, target, len(x)))
        return gathered, self.edge_source(x)[source] * self.edge_target(x)[target] * e


def _gathered(messages: Tensor, target: Tensor, nodes: int) -> Tensor:
    """Mean, deviation, maximum and minimum of the messages at every node [nodes, 4 width]; 0 where none arrive."""
    width = messages.shape[1]
    place = target[:, None].expand(-1, width)
    zeros = messages.new_zeros(nodes, width)
    count = messages.new_zeros(nodes, 1).index_add(0, target, messages.new_ones(len(target), 1)).clamp(min=1)
    mean = zeros.index_add(0, target, messages) / count
    square = zeros.index_add(0, target, messages.square()) / count
    deviation = ((square - mean.square()).clamp(min=0) + 1e-8).sqrt()
    highest = zeros.scatter_reduce(0, place, messages, "amax", include_self=False)
    lowest = zeros.scatter_reduce(0, place, messages, "amin", include_self=False)
    return torch.cat([mean, deviation, highest, lowest], dim=1)


def _decoder(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out)
    )
