import pytest
import torch
from torch import Tensor

from benchmark.data import ImageData
from benchmark.data.splits import draw_shots, split_target
from benchmark.protocol.episodes import Episode, accuracies, episode
from benchmark.protocol.measures import Queries, nearest, probe
from benchmark.seeds import derive


def made(classes: int = 4, each: int = 9) -> ImageData:
    labels = torch.arange(classes).repeat_interleave(each)
    images = torch.arange(classes * each, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    names = tuple(f"{'ab'[number // 2]}/{number}" for number in range(classes))
    return ImageData("made", images, labels, names, "digest", "none", "nobody", "the test")


def of(rows: Tensor, classes: tuple[int, ...]) -> Episode:
    return Episode(rows.shape[1], 0, classes, rows, 0)


def test_an_episode_draws_from_the_pool_and_class_by_class() -> None:
    images = made()
    split = split_target(images.labels, 5, 0)
    for shots in (1, 3, 5):
        one = episode(images, split, "made", None, shots, 2, seed=7)
        assert one.support.shape == (4, shots) and one.classes == (0, 1, 2, 3)
        assert set(one.support.flatten().tolist()) <= set(split.pool.tolist())
        assert len(set(one.support.flatten().tolist())) == 4 * shots
        assert torch.equal(images.labels[one.support], torch.arange(4)[:, None].expand(-1, shots))
    assert not set(split.pool.tolist()) & set(split.test.tolist())


def test_episodes_are_their_seeds_and_differ_from_each_other() -> None:
    images = made()
    split = split_target(images.labels, 5, 0)
    drawn = [episode(images, split, "made", None, 2, number, seed=7).support for number in range(20)]
    assert len({tuple(rows.flatten().tolist()) for rows in drawn}) > 15
    assert torch.equal(drawn[3], episode(images, split, "made", None, 2, 3, seed=7).support)
    expected = draw_shots(images.labels, split.pool, 2, derive(7, "shots", "made"), 3)
    assert torch.equal(drawn[3].flatten(), expected)


def test_few_ways_are_of_one_group_and_the_same_for_every_number_of_shots() -> None:
    images = made()
    split = split_target(images.labels, 5, 0)
    for number in range(10):
        one, more = (episode(images, split, "made", 2, shots, number, seed=1) for shots in (1, 4))
        assert one.classes == more.classes
        assert set(one.classes) in ({0, 1}, {2, 3})
        assert torch.equal(images.labels[more.support[:, 0]], torch.tensor(more.classes))


def test_accuracies_by_hand() -> None:
    labels = torch.tensor([0, 1, 2, 2])
    first, second = (
        of(torch.zeros(3, 1, dtype=torch.int64), (0, 1, 2)),
        of(torch.zeros(2, 1, dtype=torch.int64), (2, 0)),
    )
    predictions = torch.tensor([[0, 2, 2, 1], [1, 0, 0, 1]])
    # The second numbers class 2 as 0 and class 0 as 1, and has no class 1: three of its queries count, two are right.
    assert accuracies(predictions, [first, second], labels).tolist() == pytest.approx([0.5, 2 / 3])


def test_one_of_several_predictions_must_be_right() -> None:
    labels = torch.tensor([0, 1, 2])
    whole, without = (
        of(torch.zeros(3, 1, dtype=torch.int64), (2, 0, 1)),
        of(torch.zeros(2, 1, dtype=torch.int64), (0, 2)),
    )
    predictions = torch.tensor([[[1, 0], [0, 1], [2, 1]], [[1, 0], [0, 1], [0, 0]]])
    # The first numbers 2, 0, 1 as 0, 1, 2: right is the 1 of its first query only. The second numbers 2 as 1.
    assert accuracies(predictions, [whole, without], labels).tolist() == pytest.approx([1 / 3, 1 / 2])


def test_top5_counts_a_class_among_the_five_nearest() -> None:
    """Class w is at w on a line, so the five nearest of a query are known by its place."""
    rows = torch.tensor([[float(w)] for w in range(8)] + [[0.1], [2.6], [7.0]])
    episodes = [of(torch.arange(8)[:, None], tuple(range(8)))]
    # To 0.1 the five nearest are 0-4, to 2.6 they are 1-5, to 7.0 they are 3-7.
    queries = Queries(torch.tensor([8, 9, 10, 10]), torch.tensor([4, 0, 3, 7]))
    found = nearest(rows, episodes, queries, top5=True)
    assert found.top1.tolist() == [0.25] and found.top5.tolist() == [0.75]
    few = [of(torch.arange(3)[:, None], (0, 4, 3))]
    assert nearest(rows, few, queries, top5=True).top5.tolist() == [1.0]  # of three classes all are among the five
    scored = probe(rows, episodes, queries, 1e-3, top5=True)
    assert scored.top5 >= scored.top1 and scored.top5.dtype == torch.float64


def test_measures_of_features_that_are_the_class() -> None:
    """Features without overlap are classified without a fault, features without information by chance."""
    images = made()
    split = split_target(images.labels, 5, 0)
    episodes = [episode(images, split, "made", None, 3, number, seed=0) for number in range(30)]
    queries = Queries(split.test, images.labels[split.test])
    clear = torch.eye(4)[images.labels]
    assert nearest(clear, episodes, queries).top1.tolist() == [1.0] * 30
    assert probe(clear, episodes, queries, 0.01).top1.tolist() == [1.0] * 30
    noise = torch.randn(len(images.labels), 6, generator=torch.Generator().manual_seed(0))
    for found in (nearest(noise, episodes, queries), probe(noise, episodes, queries, 0.1)):
        assert found.top1.shape == (30,) and abs(float(found.top1.mean()) - 0.25) < 0.1 and found.top5 is None


def test_a_measure_does_not_depend_on_how_many_episodes_are_taken_together() -> None:
    images = made()
    split = split_target(images.labels, 5, 0)
    episodes = [episode(images, split, "made", None, 2, number, seed=0) for number in range(60)]
    queries = Queries(split.test, images.labels[split.test])
    rows = torch.randn(len(images.labels), 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(nearest(rows, episodes, queries).top1[55:], nearest(rows, episodes[55:], queries).top1)
