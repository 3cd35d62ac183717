import pytest
import torch

from benchmark.space.graph.index_sets import NONE, IndexSets, Side
from benchmark.space.graph.multiplications import factors, multiplications
from benchmark.space.graph.operators import spatial_dims

SHAPES = {"one": (3, 2), "two": (4, 3), "scale": (3,), "table": (2, 3)}


def book() -> IndexSets:
    return IndexSets(SHAPES)


def test_atoms_are_numbered_once() -> None:
    index_sets = book()
    assert index_sets.side("one", 0, False).tolist() == [0, 1, 2]
    assert index_sets.elements("table").tolist() == [[3, 4, 5], [6, 7, 8]]
    assert index_sets.side("two", 1, True).tolist() == [9, 10, 11]
    assert index_sets.side("one", 0, False).tolist() == [0, 1, 2]
    assert index_sets.elements("table").tolist() == [[3, 4, 5], [6, 7, 8]]


def test_a_tied_weight_makes_by_the_indices_by_which_it_reads() -> None:
    index_sets = book()
    assert index_sets.side("one", 0, False).tolist() == index_sets.side("one", 0, True).tolist()
    assert index_sets.side("one", 1, True).tolist() == [3, 4]


def test_joined_atoms_are_one_component() -> None:
    index_sets = book()
    made, read = index_sets.side("one", 0, False), index_sets.side("two", 1, True)
    index_sets.side("two", 0, False)
    index_sets.join(made, read)
    found = index_sets.outcome()
    made_in, read_in = found.sides[Side("one", 0, False)], found.sides[Side("two", 1, True)]
    assert made_in.tolist() == read_in.tolist()
    assert len(set(made_in.tolist())) == 3
    assert not set(made_in.tolist()) & set(found.sides[Side("two", 0, False)].tolist())
    assert found.component.tolist()[:3] == made_in.tolist()
    assert (found.whole, found.mixed, found.cuts, found.elements) == ({}, {}, {}, {})


def test_joining_broadcasts_and_nothing_joins_with_nothing() -> None:
    index_sets = book()
    made = index_sets.side("two", 0, False)
    # The first two index sets in one row, the others beside something of no index set.
    index_sets.join(made[:1, None], torch.stack([made[:2], torch.full((2,), NONE)]), "stirring")
    index_sets.join(made[2:], torch.full((2,), NONE), "nothing")
    found = index_sets.outcome()
    one, two, three, four = found.component.tolist()
    assert one == two
    assert len({one, three, four}) == 3
    assert found.mixed == {one: "stirring"}


def test_an_element_goes_with_the_only_channel_it_meets() -> None:
    index_sets = book()
    made, scale = index_sets.side("one", 0, False), index_sets.elements("scale")
    index_sets.meet(made.view(3, 1).expand(3, 5), scale.view(3, 1))
    found = index_sets.outcome()
    assert found.elements["scale"].tolist() == found.sides[Side("one", 0, False)].tolist()


def test_an_element_that_several_meet_at_once_belongs_to_none_and_joins_none() -> None:
    index_sets = book()
    made, scale = index_sets.side("one", 0, False), index_sets.elements("scale")
    index_sets.meet(scale[1:], made[1:])
    index_sets.meet(scale[:1], made[:2])
    found = index_sets.outcome()
    sides = found.sides[Side("one", 0, False)].tolist()
    assert found.elements["scale"].tolist() == [NONE, *sides[1:]]
    assert len(set(sides)) == 3


def test_what_an_element_meets_in_turn_goes_together() -> None:
    index_sets = book()
    made, other, scale = (
        index_sets.side("one", 0, False),
        index_sets.side("two", 0, False),
        index_sets.elements("scale"),
    )
    index_sets.meet(scale, made)
    index_sets.meet(other[:1], scale[:1])
    found = index_sets.outcome()
    sides, others = found.sides[Side("one", 0, False)].tolist(), found.sides[Side("two", 0, False)].tolist()
    assert found.elements["scale"].tolist() == sides
    assert others[0] == sides[0]
    assert len({*sides, *others}) == 6


def test_constants_that_meet_each_other_go_with_the_same_channels() -> None:
    index_sets = book()
    made, scale, table = (
        index_sets.side("one", 0, False),
        index_sets.elements("scale"),
        index_sets.elements("table"),
    )
    # The table's second row is combined with the scale, and its first entry with all of it.
    index_sets.meet(table[1], scale)
    assert torch.equal(index_sets.stronger(table[0, :1].expand(3), scale), scale)
    index_sets.meet(table[0, :1], scale)
    index_sets.meet(made, scale)
    found = index_sets.outcome()
    sides = found.sides[Side("one", 0, False)].tolist()
    assert found.elements["table"].tolist() == [[NONE] * 3, sides]


def test_channels_that_meet_are_joined() -> None:
    index_sets = book()
    index_sets.meet(index_sets.side("one", 0, False), index_sets.side("two", 1, False))
    found = index_sets.outcome()
    assert found.sides[Side("one", 0, False)].tolist() == found.sides[Side("two", 1, False)].tolist()


def test_what_two_tensors_carry_when_they_met_is_the_channel() -> None:
    index_sets = book()
    made, scale = index_sets.side("one", 0, False), index_sets.elements("scale")
    nothing = torch.full((3,), NONE)
    for one, other in [(made, scale), (scale, made), (made, nothing), (nothing, made)]:
        assert torch.equal(index_sets.stronger(one, other), made)
    assert torch.equal(index_sets.stronger(scale, nothing), scale)
    assert torch.equal(index_sets.stronger(nothing, scale), scale)
    assert torch.equal(index_sets.stronger(scale.view(3, 1), made[:2]), made[:2].expand(3, 2))


def test_an_element_of_nobody_stays() -> None:
    index_sets = book()
    index_sets.elements("scale")
    assert index_sets.outcome().elements["scale"].tolist() == [NONE] * 3


def test_the_first_reason_to_stay_whole_is_kept() -> None:
    index_sets = book()
    made = index_sets.side("one", 0, False)
    index_sets.keep(torch.tensor([[NONE, int(made[1])]]), "first")
    index_sets.keep(made, "second")
    index_sets.keep(torch.tensor([NONE]), "nobody")
    index_sets.cut(made[2:], "slice")
    found = index_sets.outcome()
    one, two, three = found.component.tolist()
    assert found.whole == {one: "second", two: "first", three: "second"}
    assert found.cuts == {three: "slice"}


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("max_pool2d_with_indices", 2),
        ("avg_pool1d", 1),
        ("_adaptive_avg_pool2d", 2),
        ("_adaptive_avg_pool3d", 3),
        ("adaptive_max_pool2d", 2),
        ("upsample_nearest1d", 1),
        ("_upsample_bilinear2d_aa", 2),
        ("grid_sampler_2d", 2),
        ("max", 0),
        ("convolution", 0),
    ],
)
def test_pooling_works_on_the_last_dimensions(name: str, dims: int) -> None:
    assert spatial_dims(name) == dims


def test_multiplications_by_hand() -> None:
    image, kernel = torch.zeros(2, 4, 5, 5), torch.zeros(6, 2, 3, 3)  # two groups
    out = torch.zeros(2, 6, 3, 3)
    assert multiplications("convolution", {"input": image, "weight": kernel, "transposed": False}, out) == 108 * 18
    turned = {"input": torch.zeros(1, 4, 5, 5), "weight": torch.zeros(4, 3, 2, 2), "transposed": True}
    assert multiplications("convolution", turned, torch.zeros(1, 3, 10, 10)) == 100 * 12
    two, three = torch.zeros(2, 3), torch.zeros(3, 5)
    assert multiplications("mm", {"self": two, "mat2": three}, two) == 30
    assert multiplications("addmm", {"self": two, "mat1": two, "mat2": three}, two) == 30
    assert multiplications("mv", {"self": two, "vec": torch.zeros(3)}, two) == 6
    assert multiplications("dot", {"self": torch.zeros(3), "tensor": torch.zeros(3)}, two) == 3
    four = {"batch1": torch.zeros(4, 2, 3), "batch2": torch.zeros(4, 3, 5)}
    assert multiplications("baddbmm", four, two) == 120
    assert factors("baddbmm", four) == (four["batch1"], four["batch2"])
    assert multiplications("add", {"self": two}, two) == 0
