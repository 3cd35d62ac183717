"""A network as a graph: its channels are nodes, the kernels between them edges."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.space import BlockSpace, ChannelSpace

SIDE = 3  # kernels are seen through a window of so many positions a side
KERNEL = SIDE * SIDE
REST = (1.0, 0.0, 0.0, 1.0, 0.0)  # scale, shift, mean, variance and bias of a channel without them
NORM = ("weight", "bias", "running_mean", "running_var")


class ChannelGraph:
    """The graph of a large model whose channels are the units of a search space.

    Nodes are the space's channels (coupled ones are one node), behind them those that are not units: the image's, the
    classes. An edge leads from a channel that a convolution or linear layer reads to one that it makes; `source` and
    `target` int64 [edges] are its nodes, in the order of `weights`. Layers that units only go through (depthwise), and
    transposed ones, are no edges. Of a batch norm, scale, shift and statistics are features of its channels.
    """

    def __init__(self, space: ChannelSpace | BlockSpace, network: nn.Module) -> None:
        graph, self._shapes = space.graph, {name: tensor.shape for name, tensor in network.state_dict().items()}
        self.units = self.nodes = space.n - len(space.blocks)
        sided = {*((name, 0) for name, side in graph.producers if side == 0)}
        sided |= {(name, 1) for name, side in graph.readers if side == 1}
        self.weights = [n for n, s in self._shapes.items() if len(s) > 1 and {(n, 0), (n, 1)} & sided]
        ends = {name: [self._ends(graph.dims[name].get(side), name, side) for side in (0, 1)] for name in self.weights}
        self.target = torch.cat([made.repeat_interleave(len(read)) for made, read in ends.values()])
        self.source = torch.cat([read.repeat(len(made)) for made, read in ends.values()])
        # The feature, and the channel (-1: none) of every entry, of the vectors that channels have a share in.
        self._vectors: dict[str, tuple[int, Tensor]] = {}
        for place, module in network.named_modules():
            normed = isinstance(module, nn.modules.batchnorm._BatchNorm)
            named = enumerate(NORM) if normed else [(len(NORM), "bias")]
            for feature, name in named:
                entry = f"{place}.{name}"
                if entry in graph.dims and len(self._shapes[entry]) == 1:
                    self._vectors[entry] = feature, torch.as_tensor(graph.dims[entry][0])

    def _ends(self, units: object, name: str, side: int) -> Tensor:
        """The nodes behind the indices of a tensor's side; those that are no unit get nodes of their own."""
        nodes = torch.full((self._shapes[name][side],), -1) if units is None else torch.as_tensor(units).clone()
        fixed = nodes < 0
        nodes[fixed] = self.nodes + torch.arange(int(fixed.sum()))
        self.nodes += int(fixed.sum())
        return nodes

    def read(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the features of nodes [nodes, 5] and edges [edges, 9] of a state, in float32.

        A kernel's features are its middle, with zeros around what is smaller. Where the norms of several channels meet
        in one node, its features are their mean.
        """
        nodes = torch.tensor(REST).repeat(self.nodes, 1)
        for feature in range(len(REST)):
            total, count = torch.zeros(self.units), torch.zeros(self.units)
            for name, (of, units) in self._vectors.items():
                if of == feature:
                    here = units >= 0
                    total.index_add_(0, units[here], state[name].detach().cpu().float()[here])
                    count.index_add_(0, units[here], torch.ones(int(here.sum())))
            nodes[: self.units, feature] = torch.where(count > 0, total / count.clamp(min=1), REST[feature])
        kernels = [_window(_kernels(state[name]), (SIDE, SIDE)).reshape(-1, KERNEL) for name in self.weights]
        return nodes.to(kernels[0].device), torch.cat(kernels).detach().float()

    def written(self, state: Mapping[str, Tensor], nodes: Tensor, edges: Tensor) -> dict[str, Tensor]:
        """Return the state with `nodes` [nodes, 2] added to scales and shifts and `edges` [edges, 9] to kernels.

        Differentiable in both; statistics and the biases of convolutions stay.
        """
        result = dict(state)
        counts = [self._shapes[name][0] * self._shapes[name][1] for name in self.weights]
        for name, part in zip(self.weights, edges.split(counts), strict=True):
            shape = self._shapes[name]
            change = part.reshape(shape[0], shape[1], SIDE, SIDE)
            result[name] = state[name] + _window(change, tuple(shape[2:]) or (1, 1)).reshape(shape)
        for name, (feature, units) in self._vectors.items():
            if feature < 2:
                change = nodes[units.clamp(min=0).to(nodes.device), feature]
                result[name] = state[name] + torch.where((units >= 0).to(nodes.device), change, 0)
        return result

    def importance(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return the energy of every channel [units], differentiable: the mean over the tensors that hold it.

        In a tensor it is the sum of squares of the kernels that make the channel, of those that read it, or of its
        scale of batch norm.
        """
        total, count = state[self.weights[0]].new_zeros(self.units), torch.zeros(self.units)
        counts = [self._shapes[name][0] * self._shapes[name][1] for name in self.weights]
        parts = zip(self.weights, self.target.split(counts), self.source.split(counts), strict=True)
        sides = [(name, nodes) for name, *both in parts for nodes in both]
        squares = {name: _kernels(state[name]).flatten(2).square().sum(2).reshape(-1) for name in self.weights}
        scales = [(name, units) for name, (feature, units) in self._vectors.items() if feature == 0]
        squares |= {name: state[name].square() for name, _ in scales}
        for name, nodes in [*sides, *scales]:
            here = (nodes >= 0) & (nodes < self.units)
            total = total.index_add(0, nodes[here].to(total.device), squares[name][here.to(total.device)])
            count[nodes[here].unique()] += 1
        return total / count.clamp(min=1).to(total)


def _kernels(weight: Tensor) -> Tensor:
    """A weight as kernels [made, read, height, width]."""
    return weight if weight.dim() == 4 else weight.reshape(*weight.shape[:2], 1, -1)


def _window(kernels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Kernels [a, b, height, width] cut to their middle, or with zeros around them, to `size`."""
    lacks = [wanted - have for wanted, have in zip(size, kernels.shape[2:], strict=True)]
    # Padding by less than nothing cuts.
    (top, left), (bottom, right) = ([part // 2 for part in lacks], [part - part // 2 for part in lacks])
    return F.pad(kernels, (left, right, top, bottom))
