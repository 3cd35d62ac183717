"""The training loop and its batches, against numbers worked out by hand."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config.params import Recipe
from benchmark.errors import BenchError
from benchmark.training.loop import (
    Task,
    accuracy,
    augmented,
    batches,
    clip,
    fit,
    learning_rate,
    loss_of,
    on_device,
    set_train_mode,
    shift,
    stacked_batches,
    training_flops,
)

PLAIN = Recipe(steps=5, batch=4, lr=0.1, shift=0)


def numbered(count: int, size: int = 3) -> Task:
    """Image i has the pixel value i everywhere, and the label i."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, size, size).clone()
    return Task(images, torch.arange(count), torch.zeros(1), torch.full((1,), 1 / 255))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_part_of_a_part_looks_its_rows_up_in_the_one_array() -> None:
    task = numbered(10)
    part = task.subset(torch.tensor([7, 3, 3, 9, 0]))
    assert part.labels.tolist() == [7, 3, 3, 9, 0] and len(part) == 5
    inner = part.subset(torch.tensor([4, 0, 3]), torch.tensor([1, 0, 1]))
    assert inner.labels.tolist() == [1, 0, 1]
    assert inner.pixels(torch.tensor([2, 0]))[:, 0, 0, 0].tolist() == [9, 0]
    assert task.pixels(torch.tensor([2, 2]))[:, 0, 0, 0].tolist() == [2, 2]
    for one in (part, inner):
        assert one.images is task.images and one.shape == (1, 3, 3)
        assert torch.equal(one.mean, task.mean) and torch.equal(one.std, task.std)
        assert one.to("cpu") is one
    # What is trained on and what is measured are these rows, under these labels.
    for images, labels in batches(inner, PLAIN, generator()):
        assert sorted(zip(images[:, 0, 0, 0].round().int().tolist(), labels.tolist(), strict=True)) == [
            (0, 1),
            (7, 0),
            (9, 1),
        ]
    assert accuracy(lambda shown: F.one_hot((shown[:, 0, 0, 0].round() == 7).long(), 2), inner) == 0.0
    assert accuracy(lambda shown: F.one_hot((shown[:, 0, 0, 0].round() != 7).long(), 2), inner) == 1.0


def test_a_set_larger_than_the_memory_is_read_row_by_row(tmp_path: Path) -> None:
    """A file with holes: 2^26 images of 1 kB would be 64 GB, and only those asked for are ever read."""
    count = 2**26
    path = tmp_path / "images"
    with path.open("wb") as file:
        for row in (0, 5, count - 1):
            file.seek(row * 1024)
            file.write(bytes([row % 200 + 1]) * 1024)
    images = torch.from_numpy(np.memmap(path, np.uint8, "r+", shape=(count, 1, 32, 32)))
    path.unlink()
    labels = torch.zeros(1, dtype=torch.int64).expand(count)
    task = Task(images, labels, torch.zeros(1), torch.full((1,), 1 / 255))
    part = task.subset(torch.tensor([count - 1, 5, 0]), torch.tensor([2, 1, 0]))
    assert part.images.data_ptr() == images.data_ptr()
    values = {0: 1.0, 1: 6.0, 2: float((count - 1) % 200 + 1)}
    for shown, classes in batches(part, PLAIN, generator()):
        torch.testing.assert_close(shown[:, 0, 31, 31], torch.tensor([values[label] for label in classes.tolist()]))
    assert accuracy(lambda shown: (shown[:, :1, 0, 0] - torch.tensor([1.0, 6.0, values[2]])).abs().neg(), part) == 1.0


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [
        # Two steps of ten are warm-up, thirds of the way up; then the cosine from 0 to pi over eight steps.
        (0.2, {0: 1 / 3, 1: 2 / 3, 2: 1.0, 4: 0.5 + 0.25 * math.sqrt(2), 6: 0.5, 8: 0.5 - 0.25 * math.sqrt(2)}),
        (0.0, {0: 1.0, 5: 0.5}),
        (0.1, {0: 0.5, 1: 1.0, 4: 0.75, 7: 0.25}),
        (0.99, {0: 1 / 11, 9: 10 / 11}),
    ],
)
def test_learning_rate_by_hand(warmup: float, expected: dict[int, float]) -> None:
    recipe = Recipe(steps=10, batch=1, lr=2.0, warmup=warmup)
    assert {step: learning_rate(recipe, step) for step in expected} == pytest.approx(
        {step: 2.0 * value for step, value in expected.items()}
    )


def translated(image: Tensor, down: int, right: int) -> Tensor:
    """The image moved pixel by pixel; what comes in from outside is black."""
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result


def test_shift_translates_every_image_by_an_offset_of_its_own() -> None:
    image = torch.arange(1, 2 * 4 * 5 + 1, dtype=torch.uint8).view(2, 4, 5)
    moved = shift(image.expand(300, -1, -1, -1), 2, generator())
    assert moved.shape == (300, 2, 4, 5) and moved.dtype == torch.uint8
    known = {(down, right): translated(image, down, right) for down in range(-2, 3) for right in range(-2, 3)}
    offsets = [[offset for offset, expected in known.items() if torch.equal(one, expected)] for one in moved]
    assert all(len(found) == 1 for found in offsets)
    # Each of the 25 offsets is expected 12 times.
    counts = {offset: sum(found == [offset] for found in offsets) for offset in known}
    assert min(counts.values()) > 0 and max(counts.values()) < 35


def test_no_shift_is_the_identity_and_draws_nothing() -> None:
    images, draw = numbered(4).images, generator()
    before = draw.get_state()
    assert torch.equal(shift(images, 0, draw), images)
    assert torch.equal(draw.get_state(), before)


def test_flip_mirrors_every_other_image_left_to_right() -> None:
    image = torch.arange(2 * 3 * 4, dtype=torch.uint8).view(2, 3, 4)
    recipe = PLAIN.model_copy(update={"flip": True})
    seen = augmented(image.expand(400, -1, -1, -1), recipe, generator(1))
    assert seen.shape == (400, 2, 3, 4) and seen.dtype == torch.uint8
    mirrored = [torch.equal(one, image[:, :, [3, 2, 1, 0]]) for one in seen]
    assert all(torch.equal(one, image) for one, other in zip(seen, mirrored, strict=True) if not other)
    # Binomial with 400 coins: five standard deviations of ten around 200.
    assert 150 < sum(mirrored) < 250
    assert torch.equal(augmented(image.expand(400, -1, -1, -1), recipe, generator(1)), seen)
    assert not torch.equal(augmented(image.expand(400, -1, -1, -1), recipe, generator(2)), seen)


def test_flip_comes_after_the_shift_and_without_it_nothing_is_drawn() -> None:
    images = torch.randint(1, 255, (50, 1, 5, 5), generator=generator(8), dtype=torch.uint8)
    plain, flipping = (PLAIN.model_copy(update={"shift": 1, "flip": flip}) for flip in (False, True))
    draw, shifting = generator(3), generator(3)
    shifted = shift(images, 1, shifting)
    assert torch.equal(augmented(images, plain, draw), shifted)
    assert torch.equal(draw.get_state(), shifting.get_state())
    for one, either in zip(augmented(images, flipping, generator(3)), shifted, strict=True):
        assert torch.equal(one, either) or torch.equal(one, either.flip(-1))


def labels_of(data: Iterator[tuple[Tensor, Tensor]]) -> list[list[int]]:
    return [labels.tolist() for _, labels in data]


def test_every_permutation_covers_the_task_before_an_image_comes_again() -> None:
    found = list(batches(numbered(10), PLAIN, generator()))
    assert [tuple(images.shape) for images, _ in found] == [(4, 1, 3, 3)] * 5
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images, _ in found)
    order = torch.cat([labels for _, labels in found]).tolist()
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]
    for images, labels in found:
        torch.testing.assert_close(images[:, 0, 0, 0], labels.float())


def test_a_batch_is_at_most_the_task_and_stacked_batches_repeat_it() -> None:
    small, large = numbered(3), numbered(9)
    assert [sorted(labels) for labels in labels_of(batches(small, PLAIN, generator()))] == [[0, 1, 2]] * 5
    found = list(stacked_batches([small, large], PLAIN, [generator(1), generator(2)]))
    assert [tuple(images.shape) for images, _ in found] == [(2, 4, 1, 3, 3)] * 5
    first = torch.cat([labels[0] for _, labels in found]).tolist()
    assert all(sorted(first[start : start + 3]) == [0, 1, 2] for start in range(0, 18, 3))
    second = torch.cat([labels[1] for _, labels in found]).tolist()
    assert sorted(second[:9]) == sorted(second[9:18]) == list(range(9))


def test_the_order_is_the_seeds_and_does_not_depend_on_shift_and_flip() -> None:
    task = numbered(10)
    shifted = PLAIN.model_copy(update={"shift": 1, "flip": True})
    expected = labels_of(batches(task, PLAIN, generator(3)))
    assert labels_of(batches(task, PLAIN, generator(3))) == expected
    assert labels_of(batches(task, shifted, generator(3))) == expected
    assert labels_of(batches(task, PLAIN, generator(4))) != expected
    for again, once in zip(batches(task, shifted, generator(3)), batches(task, shifted, generator(3)), strict=True):
        assert torch.equal(again[0], once[0])


def test_a_replica_sees_what_it_would_see_alone() -> None:
    tasks = [numbered(10), numbered(10).subset(torch.arange(4, 10))]
    recipe = PLAIN.model_copy(update={"shift": 1, "flip": True})
    together = list(stacked_batches(tasks, recipe, [generator(5), generator(6)]))
    for replica, (task, seed) in enumerate(zip(tasks, (5, 6), strict=True)):
        for (images, labels), (alone, alone_labels) in zip(
            together, batches(task, recipe, generator(seed)), strict=True
        ):
            assert torch.equal(images[replica], alone) and torch.equal(labels[replica], alone_labels)


def test_images_are_shown_normalised_per_channel() -> None:
    task = Task(torch.zeros(0), torch.zeros(0), torch.tensor([0.5, 0.2]), torch.tensor([0.5, 0.1]))
    images = torch.tensor([255, 51], dtype=torch.uint8).view(1, 2, 1, 1)
    torch.testing.assert_close(task.normalise(images).flatten(), torch.tensor([1.0, 0.0]), atol=1e-6, rtol=0)
    assert torch.equal(task.normalise(images.expand(3, 1, 2, 1, 1))[2], task.normalise(images))


def test_clip_by_hand() -> None:
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    clip(gradients, 1.0)
    torch.testing.assert_close(gradients, [torch.tensor([0.6, 0.0]), torch.tensor([[0.8]])])
    clip(gradients, 1.01)
    torch.testing.assert_close(gradients, [torch.tensor([0.6, 0.0]), torch.tensor([[0.8]])])
    zero = [torch.zeros(2)]
    clip(zero, 1.0)
    assert torch.equal(zero[0], torch.zeros(2))


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_gradient_that_is_not_finite_is_dropped_whole(bad: float) -> None:
    gradients = [torch.tensor([1.0, bad]), torch.tensor([2.0])]
    clip(gradients, 5.0)
    assert torch.equal(gradients[0], torch.zeros(2)) and torch.equal(gradients[1], torch.zeros(1))


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_stacked_replicas_are_clipped_one_by_one(bad: float) -> None:
    first = torch.tensor([[3.0, 0.0], [0.3, 0.0], [1.0, bad]])
    second = torch.tensor([[[4.0]], [[0.4]], [[1.0]]])
    clip([first, second], 1.0, stacked=True)
    torch.testing.assert_close(first, torch.tensor([[0.6, 0.0], [0.3, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(second.flatten(), torch.tensor([0.8, 0.4, 0.0]))


def test_the_loss_of_replicas_is_the_sum_of_their_means() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    labels = torch.tensor([[0, 0], [0, 1]])
    # -log softmax: log(1 + e^-2) and log(1 + e) for the first replica, log 2 for the second.
    first = (math.log1p(math.exp(-2)) + math.log1p(math.e)) / 2
    assert float(loss_of(logits, labels)) == pytest.approx(first + math.log(2))
    assert float(loss_of(logits[0], labels[0])) == pytest.approx(first)
    # Smoothing by s puts s / 2 of the target on the other class: the first image costs s / 2 * 2 more, the second less.
    assert float(loss_of(logits[0], labels[0], 0.1)) == pytest.approx(first + (0.05 * 2 - 0.05 * 1) / 2)


def linear(seed: int = 0) -> nn.Linear:
    network = nn.Linear(9, 3)
    with torch.no_grad():
        network.weight.copy_(torch.randn(3, 9, generator=generator(seed)))
        network.bias.zero_()
    return network


def examples(steps: int) -> list[tuple[Tensor, Tensor]]:
    draw = generator(9)
    return [(torch.randn(6, 9, generator=draw), torch.randint(0, 3, (6,), generator=draw)) for _ in range(steps)]


def test_fit_is_nesterov_sgd_with_decay_schedule_and_clip() -> None:
    recipe = Recipe(
        steps=5, batch=6, lr=0.3, momentum=0.8, weight_decay=0.01, warmup=0.4, clip=0.5, label_smoothing=0.1
    )
    network, data = linear(), examples(5)
    losses: list[tuple[int, float]] = []
    expected = {name: p.detach().clone() for name, p in network.named_parameters()}
    final = fit(
        network,
        dict(network.named_parameters()),
        data,
        recipe,
        on_step=lambda step, loss: losses.append((step, loss)),
    )
    velocity = {name: torch.zeros_like(value) for name, value in expected.items()}
    for step, (images, labels) in enumerate(data):
        leaves = {name: value.clone().requires_grad_() for name, value in expected.items()}
        logits = images @ leaves["weight"].T + leaves["bias"]
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        assert losses[step] == (step, pytest.approx(float(loss.detach()), rel=1e-5))
        gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
        for name, gradient in gradients.items():
            moved = gradient * min(1, 0.5 / norm) + 0.01 * expected[name]
            velocity[name] = 0.8 * velocity[name] + moved
            expected[name] = expected[name] - learning_rate(recipe, step) * (moved + 0.8 * velocity[name])
    assert final == losses[-1][1] and len(losses) == 5
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-4, atol=1e-6)


def test_masked_weights_stay_exactly_zero() -> None:
    recipe = Recipe(steps=6, batch=6, lr=0.5, momentum=0.9, weight_decay=0.1)
    network = linear()
    mask = (torch.arange(27).view(3, 9) % 4 == 0).float()
    with torch.no_grad():
        network.weight.mul_(mask)
    before = network.weight.detach().clone()
    fit(network, dict(network.named_parameters()), examples(6), recipe, {"weight": mask})
    assert bool((network.weight[mask == 0] == 0).all())
    assert bool((network.weight[mask == 1] != before[mask == 1]).all())
    assert bool((network.bias != 0).all())


def test_fewer_batches_stop_the_schedule_early() -> None:
    recipe = Recipe(steps=8, batch=6, lr=0.2)
    short, whole = linear(), linear()
    states: list[Tensor] = []
    fit(short, dict(short.named_parameters()), examples(8)[:3], recipe)
    fit(
        whole,
        dict(whole.named_parameters()),
        examples(8),
        recipe,
        on_step=lambda step, _: states.append(whole.weight.detach().clone()),
    )
    assert torch.equal(short.weight, states[2])


@pytest.mark.parametrize("lr", [0.1, 3e38])
def test_diverged_training_is_told(lr: float) -> None:
    data = examples(4)
    if lr < 1:
        data[2:] = [(images * math.nan, labels) for images, labels in data[2:]]
    with pytest.raises(BenchError, match=r"training diverged.*lower the recipe's lr"):
        network = linear()
        fit(network, dict(network.named_parameters()), data, Recipe(steps=4, batch=6, lr=lr, weight_decay=0.0))


def test_accuracy_by_hand_whatever_the_batches() -> None:
    # The network's logits are the pixels themselves: the class is the brightest.
    images = torch.tensor([[9, 1, 1], [1, 9, 1], [1, 1, 9], [9, 1, 1], [1, 9, 1]], dtype=torch.uint8)
    task = Task(images.view(5, 1, 1, 3), torch.tensor([0, 1, 2, 1, 0]), torch.zeros(1), torch.ones(1))
    for size in (1, 2, 5, 1024):
        assert accuracy(lambda shown: shown.flatten(1), task, batch=size) == 3 / 5
        assert accuracy(lambda shown: shown.flatten(1), task, batch=size, top=3) == 1


def test_training_costs_three_forward_passes_of_two_operations_per_mac() -> None:
    assert training_flops(macs=10, images=4) == 2 * 3 * 10 * 4


def test_ready_sets_the_recipes_norm_momentum_and_training_mode() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4))).eval()
    set_train_mode(network, Recipe(steps=1, batch=1, lr=1.0, norm_momentum=0.7))
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [layer.momentum for layer in norms] == [0.7, 0.7]
    assert all(layer.training for layer in network.modules())
    weight = next(on_device(network, "cpu").parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_top_two_by_hand() -> None:
    images = torch.tensor([[9, 5, 1], [1, 9, 5], [5, 1, 9]], dtype=torch.uint8)
    task = Task(images.view(3, 1, 1, 3), torch.tensor([1, 0, 1]), torch.zeros(1), torch.ones(1))
    assert accuracy(lambda shown: shown.flatten(1), task) == 0
    assert accuracy(lambda shown: shown.flatten(1), task, top=2) == 1 / 3
