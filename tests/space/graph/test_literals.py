import stating
from torch import nn

from benchmark.space.graph.dependencies import literals, trace


def told(model: nn.Module) -> dict[tuple[str, int], list[int]]:
    """The units behind the numbers of a network's calls."""
    found = literals(model, stating.IMAGE, list(trace(model, stating.IMAGE).groups))
    return {(one.call, one.place): one.units.tolist() for one in found}


def test_numbers_of_a_shape_count_the_units_along_their_dimension() -> None:
    # Units: the embedding's 16 channels, then four heads of four rows.
    found = told(stating.Heads())
    assert found["reshape 0", 3] == found["view 0", 1] == [16, 17, 18, 19]
    assert found["reshape 1", 2] == [head for head in (16, 17, 18, 19) for _ in range(4)]
    assert set(found) == {("reshape 0", 3), ("view 0", 1), ("reshape 1", 2)}


def test_a_flattened_map_counts_each_channel_once_for_every_place() -> None:
    assert told(stating.Flat()) == {("view 0", 1): [channel for channel in range(6) for _ in range(4)]}


def test_every_part_of_a_split_is_told() -> None:
    assert told(stating.Parts("sizes")) == {("split 0", 0): [0, 1, 2, 3], ("split 0", 1): list(range(4, 12))}
    assert told(stating.Parts("size")) == {("split 0", n): list(range(4 * n, 4 * n + 4)) for n in range(3)}


def test_the_ends_of_a_slice_count_what_is_before_them() -> None:
    # Places: two for each entry of the index, of which the second is that of the channels.
    # One that is at the end of the dimension stays there by itself.
    found = told(stating.Parts("slices"))
    assert found == {("__getitem__ 0", 3): [0, 1, 2, 3], ("__getitem__ 1", 2): [0, 1, 2, 3]}


def test_only_the_calls_about_the_groups_in_question_are_returned() -> None:
    model = stating.Heads()
    assert literals(model, stating.IMAGE, ["embed"]) == ()
