"""The pull on the scales by hand, and the training without it."""

import pytest
import torch
from given_scores import given_scores
from problems import CLASSES, RECIPE, Normed, TwoConvolutions, pretrained_weights, problem, resnet
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.slimming import Slimming, penalty
from benchmark.errors import BenchError
from benchmark.training.loop import learning_rate


def pruner(travel: float, start: float = 0.5) -> Slimming:
    return Slimming(Slimming.Parameters(travel=travel, start=start))


def test_without_a_pull_it_is_pretraining() -> None:
    made = problem("channel", (0.5,))
    (sub,) = pruner(0, start=1).search(made)
    expected, flops = pretrained_weights(0)
    assert sub.state is not None and made.flops == flops
    for name, tensor in expected.items():
        torch.testing.assert_close(sub.state[name], tensor, rtol=1e-3, atol=1e-5)


def test_one_step_by_hand() -> None:
    recipe = RECIPE.model_copy(update={"steps": 1, "batch": 30, "shift": 0, "weight_decay": 0.0, "clip": 0.1})
    made = problem("channel", (0.5,), build=Normed, recipe=recipe)
    (sub,) = pruner(2.0).search(made)
    state = {name: tensor.clone() for name, tensor in made.initial().items()}
    state["norm.weight"] = torch.full((4,), 0.5)
    weights = {n: w.requires_grad_() for n, w in state.items() if n.startswith(("conv", "head"))}
    weights |= {n: state[n].requires_grad_() for n in ("norm.weight", "norm.bias")}
    maps = F.conv2d(made.train.normalise(made.train.images), weights["conv.weight"], padding=1)
    maps = F.batch_norm(maps, None, None, weights["norm.weight"], weights["norm.bias"], training=True).relu()
    logits = F.linear(maps.mean((2, 3)), weights["head.weight"], weights["head.bias"])
    F.cross_entropy(logits, made.train.labels).backward()
    norm = torch.cat([w.grad.flatten() for w in weights.values() if w.grad is not None]).norm()
    lr, momentum = learning_rate(recipe, 0), recipe.momentum
    # Nesterov's first step is 1 + momentum gradients long.
    assert sub.state is not None and weights["norm.weight"].grad is not None
    gradient = weights["norm.weight"].grad * min(1.0, 0.1 / float(norm)) + 2.0 * (1 - momentum) / lr
    torch.testing.assert_close(sub.state["norm.weight"], 0.5 - lr * (1 + momentum) * gradient, rtol=1e-3, atol=1e-5)


def test_a_scale_that_nothing_holds_goes_the_whole_way() -> None:
    recipe = RECIPE.model_copy(update={"steps": 400, "lr": 0.3})
    pull = penalty(problem("channel", recipe=recipe), 2.0)
    scale = torch.tensor(10.0, requires_grad=True)
    optimizer = torch.optim.SGD([scale], momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    for step in range(recipe.steps):
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, step)
        scale.grad = pull * scale.detach().sign()
        optimizer.step()
    assert float(scale.detach()) == pytest.approx(8, abs=0.02)


def test_a_stronger_pull_leaves_smaller_scales() -> None:
    recipe = RECIPE.model_copy(update={"steps": 20})
    sums = [
        float(given_scores(pruner(travel), problem("channel", (0.5,), recipe=recipe)).sum()) for travel in (0, 0.2, 0.4)
    ]
    assert sums[0] > sums[1] > sums[2] > 0


def test_channels_of_a_residual_sum_add_their_scales_up() -> None:
    made = problem("channel", (0.5,), build=resnet)
    # No step: the scales are those of the start. The stem's channels go through its norm and one per block of a stage.
    recipe = RECIPE.model_copy(update={"lr": 1e-12})
    made = problem("channel", (0.5,), build=resnet, recipe=recipe)
    scores = made.space.unflatten(given_scores(pruner(0), made))
    assert scores["stem.0"].tolist() == pytest.approx([4 * 0.5] * 4)
    assert scores["blocks.0.conv1"].tolist() == pytest.approx([0.5] * 4)


class HalfNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.normed = Normed().conv
        self.norm = nn.BatchNorm2d(4)
        self.bare = nn.Conv2d(4, 5, 3, padding=1)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bare(self.norm(self.normed(x)).tanh()).tanh().mean((2, 3)))


@pytest.mark.parametrize(("build", "group"), [(TwoConvolutions, "first"), (HalfNormed, "bare")])
def test_a_group_without_batch_norm_is_named(build: type[nn.Module], group: str) -> None:
    with pytest.raises(BenchError, match=rf"^slimming: group {group} goes through no batch norm, expected one"):
        pruner(1).search(problem("channel", (0.6,), build=build))
