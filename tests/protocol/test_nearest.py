import torch

from benchmark.protocol.features import centred_and_normalised
from benchmark.protocol.nearest import nearest_class_mean


def test_by_hand() -> None:
    # One episode, two classes of two examples: means (1, 0) and (0, 2).
    support = torch.tensor([[[[0.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 3.0]]]])
    query = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.7], [0.0, 0.8]])
    # (0, .7): 1 + .49 to the first, 1.69 to the second; (0, .8): 1.64 and 1.44.
    assert nearest_class_mean(support, query).tolist() == [[0, 1, 0, 1]]


def test_episodes_do_not_see_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    support, query = torch.randn(7, 4, 3, 5, generator=generator), torch.randn(11, 5, generator=generator)
    together = nearest_class_mean(support, query)
    assert together.shape == (7, 11)
    for number in range(7):
        assert torch.equal(together[number : number + 1], nearest_class_mean(support[number : number + 1], query))
        distances = torch.cdist(query, support[number].mean(1))
        assert torch.equal(together[number], distances.argmin(1))


def test_the_first_of_equally_near_classes() -> None:
    support = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
    assert nearest_class_mean(support, torch.zeros(1, 2)).tolist() == [[0]]


def test_centred_and_normalised_by_hand() -> None:
    rows = torch.tensor([[4.0, 5.0], [1.0, 1.0], [1.0, -1.0]])
    found = centred_and_normalised(rows, torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))
