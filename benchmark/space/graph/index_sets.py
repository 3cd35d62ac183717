"""Which indices of which parameters stand or fall together: the book that the tracer writes while a network runs.

An *index set* is one index of one dimension of a weight that multiplies activations (row 3 of a linear layer), or one
element of another parameter or buffer (a bias, a batch norm's scale, a class token). Every element of an activation
carries the index set it comes from. Atoms that meet where neither can go without the other are joined; what is joined
in the end is a unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

Array = np.ndarray[Any, np.dtype[np.int64]]
NONE = -1  # the label of what comes from no index set: images, constants


@dataclass(frozen=True)
class Side:
    """One dimension of a weight. `reads`: its indices are the channels that the weight reads, not those it makes."""

    tensor: str
    dim: int
    reads: bool


@dataclass(frozen=True)
class Outcome:
    """What the book says in the end: a component per index set, and why some of them can never be cut.

    `sides` and `elements` give, per side and per other tensor (by name), the components in its shape; NONE where an
    element belongs to nobody. `whole` maps components to the reason why they cannot be cut, `mixed` to the operation
    that joined them, `cuts` to one that cuts at a position; `component` gives the component of every index set, and
    `owner` that by which it is cut: for an element of a parameter the one it belongs to, NONE where it always stays.
    """

    sides: dict[Side, Array]
    elements: dict[str, Array]
    whole: dict[int, str]
    mixed: dict[int, str]
    cuts: dict[int, str]
    component: Array
    owner: Array


class IndexSets:
    """The book: index sets, who is joined to whom, and what is to stay whole."""

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        self._shapes = shapes
        self._sides: dict[Side, int] = {}
        self._elements: dict[str, int] = {}
        self._single: set[int] = set()
        self._next = 0
        self._joins: list[tuple[Array, Array]] = []
        self._votes: list[tuple[Array, Array]] = []
        self._follows: list[tuple[Array, Array]] = []  # elements, and those they go with
        self._whole: list[tuple[Array, str]] = []
        self._mixed: list[tuple[Array, str]] = []
        self._cuts: list[tuple[Array, str]] = []

    def side(self, tensor: str, dim: int, reads: bool) -> Tensor:
        """Return the index sets of a weight's dimension."""
        size = self._shapes[tensor][dim]
        side = Side(tensor, dim, reads)
        if side not in self._sides:
            # A tied weight makes by the same indices by which it reads.
            twin = self._sides.get(Side(tensor, dim, not reads))
            self._sides[side] = self._allocate(size) if twin is None else twin
            if size == 1:
                self._single.add(self._sides[side])
        return torch.arange(self._sides[side], self._sides[side] + size)

    def elements(self, tensor: str) -> Tensor:
        """Return the index sets of a tensor's elements, in its shape."""
        shape = tuple(self._shapes[tensor])
        if tensor not in self._elements:
            self._elements[tensor] = self._allocate(int(np.prod(shape)))
        start = self._elements[tensor]
        return torch.arange(start, start + int(np.prod(shape))).view(shape)

    def _allocate(self, size: int) -> int:
        self._next += size
        return self._next - size

    def join(self, one: Tensor, other: Tensor, operation: str = "") -> None:
        """Join index sets pairwise (broadcast); NONE joins nothing. `operation` is why, where it is worth telling."""
        pairs = _pairs(one, other)
        if len(pairs[0]):
            self._joins.append(pairs)
            if operation:
                self._mixed.append((np.unique(pairs[0]), operation))

    def meet(self, one: Tensor, other: Tensor) -> None:
        """Say that two tensors meet element by element: they are joined.

        An element of a parameter that meets several units at once serves them all and belongs to none; if it meets one
        after the other, as in a norm that two layers share, these can only go together. Where elements meet each other
        (constants that are combined first), one that meets several goes with those.
        """
        left, right = _pairs(one, other)
        element = self._is_element()
        for first, second in ((left, right), (right, left)):
            vote = element[first] & ~element[second]
            self._votes.append((first[vote], second[vote]))
        strong = ~element[left] & ~element[right]
        self._joins.append((left[strong], right[strong]))
        left, right = (side[element[left] & element[right]] for side in (left, right))
        if len(left):
            met = [np.bincount(side, minlength=self._next) for side in (left, right)]
            wide = (met[0][left] > 1) & (met[1][right] == 1)
            self._follows.append((np.where(wide, left, right), np.where(wide, right, left)))
            one_each = (met[0][left] == 1) & (met[1][right] == 1)
            self._follows.append((left[one_each], right[one_each]))

    def stronger(self, one: Tensor, other: Tensor) -> Tensor:
        """Return what elements carry in which two tensors met: a channel rather than a parameter's own element."""
        weak = torch.from_numpy(np.append(self._is_element(), False))
        found = torch.where((one == NONE) | (weak[one] & ~weak[other] & (other != NONE)), other, one)
        left, right = _pairs(one, other)
        if not len(left):
            return found
        # Of two elements the one that meets no other says more of the place.
        met = [torch.from_numpy(np.append(np.bincount(side, minlength=self._next), 0)) for side in (left, right)]
        return torch.where(weak[one] & weak[other] & (met[0][one] > 1) & (met[1][other] == 1), other, found)

    def is_element(self, index_set: int) -> bool:
        """Tell whether an index set is an element of a parameter or buffer, not an index of a weight's dimension."""
        return any(0 <= index_set - start < np.prod(self._shapes[name]) for name, start in self._elements.items())

    def mixture(self, index_set: int) -> bool:
        """Tell whether an index set stands for several that an operation mixed."""
        return any(index_set in of for of, _ in self._mixed)

    def alone(self, index_set: int) -> bool:
        """Tell whether an index set is the only index of a weight's dimension."""
        return index_set in self._single

    def _is_element(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which index sets are elements of parameters."""
        element = np.zeros(self._next, dtype=bool)
        for name, start in self._elements.items():
            element[start : start + int(np.prod(self._shapes[name]))] = True
        return element

    def holders(self, labels: Tensor) -> list[str]:
        """Return the tensors whose elements are among these index sets."""
        index_sets = np.unique(labels.numpy())
        ranges = {name: (start, start + int(np.prod(self._shapes[name]))) for name, start in self._elements.items()}
        return [name for name, ends in ranges.items() if len(set(np.searchsorted(index_sets, ends).tolist())) > 1]

    def cut(self, labels: Tensor, operation: str) -> None:
        """Say that these index sets went through an operation that cuts a tensor at fixed positions."""
        self._cuts.append((np.unique(labels.numpy()), operation))

    def keep(self, labels: Tensor, reason: str) -> None:
        """Say that what these index sets belong to can never be cut."""
        index_sets = np.unique(labels.numpy())
        index_sets = index_sets[index_sets >= 0]
        if len(index_sets):
            self._whole.append((index_sets, reason))

    def keep_all(self, module: str, reason: str) -> None:
        """Say that nothing that the weights of a module read or make can ever be cut."""
        for side, index_sets in self._of_sides():
            if side.tensor.startswith(f"{module}."):
                self._whole.append((np.arange(index_sets.start, index_sets.stop), reason))

    def outcome(self) -> Outcome:
        """Return the components."""
        component = self._components()
        while shared := _met_in_turn(self._votes, component):
            self._joins += shared
            component = self._components()
        cut_by_sides = np.zeros(self._next + 1, dtype=bool)
        for _, index_sets in self._of_sides():
            cut_by_sides[component[index_sets]] = True
        owner = np.where(cut_by_sides[component], component, NONE)
        self._elect(owner, component)
        return Outcome(
            sides={side: component[index_sets] for side, index_sets in self._of_sides()},
            elements={
                name: owner[start : start + int(np.prod(self._shapes[name]))].reshape(tuple(self._shapes[name]))
                for name, start in self._elements.items()
            },
            whole=_by_component(self._whole, owner),
            mixed=_by_component(self._mixed, owner),
            cuts=_by_component(self._cuts, owner),
            component=component,
            owner=owner,
        )

    def _components(self) -> Array:
        one, other = _concatenated(self._joins)
        matrix = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(self._next, self._next))
        found: Array = connected_components(matrix, directed=False)[1].astype(np.int64)
        return found

    def _of_sides(self) -> Iterator[tuple[Side, slice]]:
        for side, start in self._sides.items():
            yield side, slice(start, start + self._shapes[side.tensor][side.dim])

    def _elect(self, owner: Array, component: Array) -> None:
        """Give every element of a parameter to the one component it meets; one that meets several serves them all."""
        voters, voted = _concatenated(self._votes)
        votes = np.unique(np.stack([voters, component[voted]]), axis=1)
        votes = _with_followers(votes, *_concatenated(self._follows))
        elements, counts = np.unique(votes[0], return_counts=True)
        single = np.isin(votes[0], elements[counts == 1]) & (owner[votes[0]] == NONE)
        owner[votes[0][single]] = votes[1][single]
        owner[elements[counts > 1]] = NONE


def _met_in_turn(votes: list[tuple[Array, Array]], component: Array) -> list[tuple[Array, Array]]:
    """Return which index sets have to be joined as well: those that one element met alone, one after the other."""
    single = []
    for voters, voted in votes:
        pairs, places = np.unique(np.stack([voters, component[voted]]), axis=1, return_index=True)
        elements, first, counts = np.unique(pairs[0], return_index=True, return_counts=True)
        single.append((elements[counts == 1], voted[places[first[counts == 1]]]))
    elements, met = _concatenated(single)
    _, first, turn = np.unique(elements, return_index=True, return_inverse=True)
    before = met[first[turn]] if len(met) else met
    apart = component[before] != component[met]
    return [(before[apart], met[apart])] if apart.any() else []


def _with_followers(votes: Array, followers: Array, leaders: Array) -> Array:
    """Return votes [2, n] (element, component) and those of the elements that go with these elements."""
    while True:
        links = [np.flatnonzero(leaders == element) for element in votes[0]] if len(leaders) else []
        new = [np.stack([followers[at], np.full(len(at), votes[1, n])]) for n, at in enumerate(links)]
        grown = np.unique(np.concatenate([votes, *new], axis=1), axis=1)
        if grown.shape[1] == votes.shape[1]:
            return votes
        votes = grown


def _by_component(told: list[tuple[Array, str]], owner: Array) -> dict[int, str]:
    found: dict[int, str] = {}
    for index_sets, text in told:
        for component in np.unique(owner[index_sets[index_sets >= 0]]).tolist():
            found.setdefault(component, text)
    return found


def _pairs(one: Tensor, other: Tensor) -> tuple[Array, Array]:
    """Return the distinct pairs of unequal index sets of two broadcast label tensors."""
    one, other = torch.broadcast_tensors(one, other)
    differ = (one != other) & (one >= 0) & (other >= 0)
    if not bool(differ.any()):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    both = torch.unique((one[differ] << 32) | other[differ]).numpy()
    return both >> 32, both & 0xFFFFFFFF


def _concatenated(pairs: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([empty, *(p[0] for p in pairs)]), np.concatenate([empty, *(p[1] for p in pairs)])
