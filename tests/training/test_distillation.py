"""A teacher's part in a loss, against numbers worked out by hand, and what of two networks is compared."""

import math

import pytest
import torch
from torch import Tensor, nn

from benchmark import models
from benchmark.config.params import Distillation, ModelRef, Recipe
from benchmark.errors import BenchError
from benchmark.space import build_space
from benchmark.training.distillation import (
    Stages,
    Teaching,
    alignments,
    between_images,
    between_stages,
    gram,
    softened,
    structure,
)

RECIPE = Recipe(steps=1, batch=6, lr=0.1)
# Three images of two numbers; their mean is (2, 1).
MAPS = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0]])
GRAM = torch.tensor([[2.0, 0.0, -2.0], [0.0, 2.0, -2.0], [-2.0, -2.0, 4.0]])
# And of one: -1, 0 and 1 around the mean.
LINE = torch.tensor([[4.0], [5.0], [6.0]])
LINE_GRAM = torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_softened_logits_by_hand() -> None:
    logits, told = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.zeros(2, 2)
    # At T = 2 the network says e / (1 + e) and 1 / (1 + e) where the teacher says one half each; then it agrees.
    first = 0.5 * math.log(0.5 * (1 + math.e) / math.e) + 0.5 * math.log(0.5 * (1 + math.e))
    assert float(softened(logits, told, 2.0)) == pytest.approx(4 * first / 2)
    assert float(softened(told, told, 2.0)) == 0


def test_the_gradient_of_softened_logits_is_the_difference_of_shares() -> None:
    logits, told = random(4, 3).requires_grad_(), random(4, 3, seed=1)
    (gradient,) = torch.autograd.grad(softened(logits, told, 3.0), logits)
    expected = 3 * ((logits / 3).softmax(1) - (told / 3).softmax(1)) / 4
    torch.testing.assert_close(gradient, expected.detach())


def test_gram_matrices_by_hand() -> None:
    assert torch.equal(gram(MAPS), GRAM)
    assert torch.equal(gram(MAPS.view(3, 1, 1, 2)), GRAM)
    assert torch.equal(gram(LINE), LINE_GRAM)
    assert gram(MAPS.bfloat16()).dtype == torch.float32


def test_relations_of_images_by_hand() -> None:
    # Cosines of the rows: 4 / (sqrt 8 sqrt 2), nothing, 6 / (sqrt 24 sqrt 2).
    expected = 1 - (1 + 0 + 6 / math.sqrt(48)) / 3
    assert float(between_images([GRAM], [LINE_GRAM])) == pytest.approx(expected)
    assert float(between_images([GRAM, GRAM], [LINE_GRAM, GRAM])) == pytest.approx(expected / 2, abs=1e-6)


def test_relations_of_stages_by_hand() -> None:
    # <K, L> = 2 + 2 + 2 + 4, |K|^2 = 40, |L|^2 = 4.
    together = 10 / math.sqrt(160)
    assert alignments([GRAM, LINE_GRAM]).tolist() == pytest.approx([together])
    assert float(between_stages([GRAM, LINE_GRAM], [GRAM, GRAM])) == pytest.approx((1 - together) ** 2, rel=1e-5)
    three = [GRAM, LINE_GRAM, GRAM]
    assert alignments(three).tolist() == pytest.approx([together, 1, together])
    assert float(between_stages(three, [GRAM] * 3)) == pytest.approx(2 * (1 - together) ** 2 / 3, rel=1e-5)
    assert float(between_stages([GRAM], [LINE_GRAM])) == 0


@pytest.mark.parametrize("width", [1, 3, 8])
def test_structure_asks_for_no_width_scale_or_order_of_channels(width: int) -> None:
    shallow, deep = random(6, width, 4, 4), random(6, 2 * width, seed=1)
    own = {(4, 4): shallow, (): deep}
    wide = {(4, 4): torch.cat([shallow, shallow.flip(1)], 1), (): 3 * deep[:, torch.randperm(2 * width)] + 1}
    assert float(structure(own, wide)) == pytest.approx(0, abs=1e-5)
    assert float(structure(own, wide | {(): random(6, 5, seed=2)})) > 0.1


def test_the_gradient_of_the_structure_is_that_of_finite_differences() -> None:
    shallow, deep = random(4, 2, 2, 2).double().requires_grad_(), random(4, 3, seed=1).double().requires_grad_()
    the_teachers = {(2, 2): random(4, 5, 2, 2, seed=2).double(), (): random(4, 2, seed=3).double()}
    assert torch.autograd.gradcheck(lambda x, y: structure({(2, 2): x, (): y}, the_teachers), (shallow, deep))


def test_a_network_that_died_has_a_finite_gradient() -> None:
    dead = torch.zeros(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(structure({(): dead}, {(): random(4, 2)}), dead)
    assert torch.equal(gradient, torch.zeros(4, 3))


def test_stages_in_common_are_needed() -> None:
    with pytest.raises(BenchError, match="use distil: logits"):
        structure({(8, 8): random(4, 2, 8, 8)}, {(4, 4): random(4, 2, 4, 4)})


def built(name: str, width: float = 0.25) -> nn.Module:
    network = models.build(ModelRef(name=name, width=width), 1, 3, 8)
    models.initialise(network, 0)
    return network.eval()


def test_the_stages_of_a_residual_network_are_its_stages() -> None:
    network, images = built("own:resnet20"), random(2, 1, 8, 8)
    stages = Stages(network)
    network(images)
    seen = stages.take()
    blocks, maps = list(network.get_submodule("blocks").children()), network.get_submodule("stem")(images)
    for number, block in enumerate(blocks, start=1):
        maps = block(maps)
        if number in (3, 6):
            assert torch.equal(seen[tuple(maps.shape[2:])], maps)
    assert torch.equal(seen[()], maps.mean((2, 3)))
    assert list(seen) == [(8, 8), (4, 4), ()]
    stages.take()
    stages.end()
    network(images)
    assert stages.take() == {}


@pytest.mark.parametrize("granularity", ["channel", "block", "block+channel"])
@pytest.mark.parametrize("name", ["own:vgg16", "own:resnet20"])
def test_what_is_narrowed_or_left_out_leaves_the_stages(name: str, granularity: str) -> None:
    network, images = built(name), random(2, 1, 8, 8)
    space = build_space(network, images[:1], granularity)
    mask = space.project(random(space.n), 0.5)
    small = space.extract(network, space.architecture(mask, {})).eval()
    seen = []
    for one in (network, small):
        stages = Stages(one)
        one(images)
        seen.append(stages.take())
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in network.parameters())
    assert seen[0].keys() == seen[1].keys() and len(seen[0]) > 2


def test_a_teacher_runs_as_it_is_and_learns_nothing() -> None:
    network, teacher, images = built("own:vgg16", 0.0625).train(), built("own:vgg16"), random(6, 1, 8, 8)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    own = torch.tensor(2.0)
    with Teaching(network, teacher.train(), Distillation(), RECIPE) as taught:
        logits = network(images)
        loss = taught(images, logits, own)
    share = 0.1 * 2 + 0.9 * float(softened(logits, teacher(images), 4.0).detach())
    assert float(loss.detach()) > share
    loss.backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in network.parameters())
    with Teaching(network, teacher, Distillation(structure=0.0), RECIPE) as taught:
        assert float(taught(images, logits, own).detach()) == pytest.approx(share)


def test_a_teacher_of_no_weight_leaves_the_loss_as_it_is() -> None:
    network, images = built("own:vgg16", 0.0625), random(6, 1, 8, 8)
    own = torch.tensor(1.2345)
    with Teaching(network, built("own:vgg16"), Distillation(weight=0.0, structure=0.0), RECIPE) as taught:
        assert torch.equal(taught(images, network(images), own).detach(), own)
