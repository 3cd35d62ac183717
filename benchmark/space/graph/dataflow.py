"""One run of a network as a graph: which operator reads what another one made, and in which modules it ran."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from benchmark.space.graph.call import Call as Operation
from benchmark.space.graph.multiplications import multiplications
from benchmark.space.graph.operators import SILENT
from benchmark.space.graph.plain_run import plain_operators
from benchmark.space.graph.uncounted import Uncounted

# What an operator reads: the result of an earlier operator (its number), or a parameter or buffer (its name).
Operand = int | str
IMAGE = 0  # the number of the input
OUTPUT = -1  # who reads what the network returns


@dataclass
class Node:
    """An operator that ran: what it read, by argument, the names of the modules around it (outermost first) and more.

    `live`: it depends on the image. `shape` is that of its (first) result, `macs` are its multiply-accumulates.
    """

    op: str
    reads: dict[str, list[Operand]]
    modules: tuple[str, ...]
    live: bool
    shape: tuple[int, ...] = ()
    macs: int = 0
    readers: set[int] = field(default_factory=set)

    @property
    def operands(self) -> list[Operand]:
        """All that it reads."""
        return [operand for operands in self.reads.values() for operand in operands]


@dataclass(frozen=True)
class Call:
    """A call of a module: the shapes of its first input and first result (None: no tensor), how many results."""

    taken: tuple[int, ...] | None
    given: tuple[int, ...] | None
    results: int


class Dataflow(TorchDispatchMode):
    """The graph of one run of `model` on `example_input`, in eval mode on the CPU; `nodes` are in the order of the run.

    `calls` are those of every module, by name, and `users` the operators that read a parameter or buffer; `uncounted`
    knows which operator's multiply-accumulates are missing, if any.
    What a result is not needed for is not among its readers.
    """

    def __init__(self, model: nn.Module, example_input: Tensor) -> None:
        super().__init__()
        self.nodes = [Node("image", {}, (), True, tuple(example_input.shape))]
        self.calls: dict[str, list[Call]] = {}
        self.users: dict[str, set[int]] = {}
        self.uncounted = Uncounted(model, example_input)
        self._stack: list[str] = []
        self._made = WeakIdKeyDictionary()
        self._written: dict[int, int] = {}
        self._named: dict[int, str] = {}
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.numel():
                self._named.setdefault(tensor.untyped_storage().data_ptr(), name)
        self._made[example_input] = IMAGE
        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._stack.append(name)))
            handles.append(module.register_forward_hook(self._returned, always_call=True))
        try:
            with plain_operators(model), self:
                result = model(example_input)
        finally:
            for handle in handles:
                handle.remove()
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                for operand in self._sources(tensor):
                    if isinstance(operand, int):
                        self.nodes[operand].readers.add(OUTPUT)
        self._forget_the_unused()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and note it."""
        kwargs = kwargs or {}
        given = Operation.of(func, args, kwargs, None)
        if given.name in SILENT:
            return func(*args, **kwargs)
        reads = {}
        for argument, value in given.named.items():
            tensors = [tensor for tensor in tree_leaves(value) if isinstance(tensor, Tensor)]
            if tensors:
                reads[argument] = [operand for tensor in tensors for operand in self._sources(tensor)]
        out = func(*args, **kwargs)
        number, named, results = len(self.nodes), given.named, replace(given, out=out).results
        node = Node(given.name, reads, tuple(self._stack), False)
        node.live = any(isinstance(operand, int) and self.nodes[operand].live for operand in node.operands)
        if results:
            node.shape = tuple(results[0].shape)
            node.macs = multiplications(node.op, named, results[0])
        self.uncounted.follow(func, node.op, named, given.tensors, results)
        self.nodes.append(node)
        for operand in node.operands:
            if isinstance(operand, int):
                self.nodes[operand].readers.add(number)
            else:
                self.users.setdefault(operand, set()).add(number)
        for tensor in [*results, *_written(func, named)]:
            self._made[tensor] = number
        for tensor in _written(func, named):
            # What was made before and lies in the same memory has changed as well.
            self._written[tensor.untyped_storage().data_ptr()] = number
        return out

    def exclusive(self, made: int, reader: int) -> frozenset[int]:
        """Return the operators that run for nothing but the result of `made` that `reader` reads; none if others do."""
        if self.nodes[made].readers != {reader}:
            return frozenset()
        inside = {made}
        for number in range(made - 1, IMAGE, -1):
            readers = self.nodes[number].readers
            if readers and readers <= inside:
                inside.add(number)
        return frozenset(inside)

    def within(self, module: str) -> Iterator[int]:
        """Yield the operators that ran inside a module and were needed."""
        for number, node in enumerate(self.nodes):
            if module in node.modules and node.readers:
                yield number

    def _returned(self, _module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        name = self._stack.pop()
        taken = given[0] if given and isinstance(given[0], Tensor) else None
        several = list(result) if isinstance(result, tuple | list) else [result]
        first = several[0] if several and isinstance(several[0], Tensor) else None
        call = Call(None if taken is None else taken.shape, None if first is None else first.shape, len(several))
        self.calls.setdefault(name, []).append(call)

    def _sources(self, tensor: Tensor) -> list[Operand]:
        memory = tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0
        made = self._made.get(tensor)
        if made is None:
            return [self._named[memory]] if memory in self._named and tensor.numel() else []
        written = self._written.get(memory, made)
        return [made, written] if written > made else [made]

    def _forget_the_unused(self) -> None:
        for number in range(len(self.nodes) - 1, IMAGE, -1):
            node = self.nodes[number]
            if not node.readers:
                for operand in node.operands:
                    if isinstance(operand, int):
                        self.nodes[operand].readers.discard(number)
                    else:
                        self.users[operand].discard(number)


def _written(func: Any, named: dict[str, Any]) -> list[Tensor]:
    """Return the arguments that an operator writes to."""
    written = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [tensor for name in written for tensor in tree_leaves(named.get(name)) if isinstance(tensor, Tensor)]


def common(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the longest beginning that all paths share."""
    shared = []
    for names in zip(*paths, strict=False):
        if len(Counter(names)) > 1:
            break
        shared.append(names[0])
    return tuple(shared)
