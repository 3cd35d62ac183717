"""What the controls permute, invert and lengthen."""

import pytest
import torch
from lab import Lab, changed, pixels
from problems import Residual, TwoConvolutions, problem, space_of, task, vgg

from baselines.lottery_ticket import LotteryTicket
from baselines.magnitude import Magnitude
from baselines.random import Random
from benchmark.errors import BenchError
from benchmark.protocol import search as protocol
from benchmark.protocol.permutations import open_searched, shuffled, with_permuted_labels
from benchmark.protocol.source import open_source
from benchmark.protocol.transfer import equal_flops_steps
from benchmark.pruning.problem import SubNetwork
from benchmark.pruning.pruner import Pruner


def counts(space, mask):
    return {name: int(part.sum()) for name, part in space.unflatten(mask).items()}


@pytest.mark.parametrize("build", [vgg, Residual, TwoConvolutions])
def test_a_shuffle_keeps_the_counts_and_changes_the_units(build):
    space = space_of(build, "weight")
    scores = torch.arange(space.n, dtype=torch.float64)
    mask = space.project(scores, 0.5)
    kept = counts(space, mask)
    found = shuffled(space, kept, 0)
    assert counts(space, found) == kept and space.params(found) == space.params(mask)
    for part, other in zip(mask.split(space.sizes), found.split(space.sizes), strict=True):
        if len(part) > 30 and 0.2 < float(part.float().mean()) < 0.8:
            assert float((part != other).float().mean()) > 0.1, "hardly a unit was moved"
    assert not torch.equal(found, mask)
    assert torch.equal(shuffled(space, kept, 0), found) and not torch.equal(shuffled(space, kept, 1), found)


def test_a_shuffle_at_the_smallest_size_is_still_connected():
    space = space_of(vgg, "weight")
    for seed in range(3):
        scores = torch.rand(space.n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        mask = shuffled(space, counts(space, space.project(scores, space.minimum)), seed)
        network = space.extract(vgg().eval(), space.architecture(mask))
        with torch.no_grad():
            for layer in network.parameters():
                layer[layer != 0] = 1.0  # no sum of these can vanish
        image = torch.rand(1, 1, 8, 8, requires_grad=True)
        assert bool(torch.autograd.grad(network(image).sum(), image)[0].any())


def test_a_shuffle_never_leaves_the_network_cut():
    space = space_of(TwoConvolutions, "weight")
    with pytest.raises(BenchError, match=r"^shuffled: group first\.weight keeps 0 units, too few"):
        shuffled(space, dict.fromkeys(space.offsets, 0), 0)


def test_labels_are_dealt_out_anew():
    before = task(30, 1)
    after = with_permuted_labels(before, torch.Generator().manual_seed(0))
    assert after.labels.bincount().tolist() == before.labels.bincount().tolist() == [10, 10, 10]
    assert not torch.equal(after.labels, before.labels)
    assert torch.equal(pixels(after), pixels(before))


def test_only_what_is_learnt_from_has_permuted_labels(lab: Lab):
    job = lab.pretrain()
    true = open_source(job.spec, lab.context)
    assert torch.equal(open_searched(job.spec, lab.context).train.labels, true.train.labels)
    job = changed(job, sanity="labels")
    found = open_searched(job.spec, lab.context)
    assert torch.equal(found.test.labels, true.test.labels)
    for name in ("train", "validation"):
        own, other = getattr(found, name), getattr(true, name)
        assert own.labels.bincount().tolist() == other.labels.bincount().tolist()
        assert not torch.equal(own.labels, other.labels)
        assert torch.equal(pixels(own), pixels(other))


def test_the_mirror_of_scores_by_hand():
    made = problem("channel", build=TwoConvolutions)
    scores = torch.tensor([1.0, 4.0, -torch.inf, 2.0, torch.inf])
    assert made.apply_inversion(scores) is scores
    made.inverted = True
    assert made.apply_inversion(scores).tolist() == [4.0, 1.0, -torch.inf, 3.0, torch.inf]


def test_inverted_keeps_the_units_ranked_lowest():
    # Groups of 2 and 3 units; of the first one stays, of the second two: 38 of 88 parameters.
    scores = torch.tensor([0.1, 0.9, 0.3, 0.5, 0.7])
    made = problem("channel", (38 / 88,), build=TwoConvolutions)
    assert made.project(scores)[0].mask.tolist() == [False, True, False, True, True]
    made = problem("channel", (38 / 88,), build=TwoConvolutions, inverted=True)
    assert made.project(scores)[0].mask.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("method", [Random, Magnitude, LotteryTicket])
def test_an_inverted_search_keeps_what_it_would_drop_first(method, granularity):
    made = problem(granularity, (0.5, 0.2), inverted=True)
    seen, apply_inversion = [], made.apply_inversion

    def spy(scores):
        seen.append(scores.clone())
        return apply_inversion(scores)

    made.apply_inversion = spy
    # A ticket halves in its first round, and again in others.
    found = method(method.Parameters(**({"drop": 0.5} if method is LotteryTicket else {}))).search(made)
    protocol._check_budgets(method.name, made, found)
    assert torch.equal(found[0].mask, made.space.project(-seen[0], 0.5))
    assert not torch.equal(found[0].mask, made.space.project(seen[0], 0.5))
    assert len(seen) == (3 if method is LotteryTicket else 1)
    # What was pruned does not come back, though its magnitude is now the lowest of all.
    assert method is not LotteryTicket or not bool((found[1].mask & ~found[0].mask).any())


class Alone(Pruner):
    """Cuts by itself."""

    name = "alone"
    reference = "none"

    def search(self, problem):
        scores = torch.arange(problem.space.n, dtype=torch.float64)
        return [SubNetwork(budget, problem.space.project(scores, budget)) for budget in problem.budgets]


def test_a_search_that_cannot_be_inverted_is_no_silent_copy(lab: Lab, monkeypatch):
    job = lab.search("uniform")
    job = changed(job, sanity="inverted")
    assert len(lab.again(job).values.architectures) == 2
    monkeypatch.setattr(protocol, "pruner", lambda _name: Alone)
    with pytest.raises(BenchError, match=r"^alone: the control inverted finds no scores to invert; give them to"):
        lab.again(job)


def test_steps_of_equal_operations_by_hand():
    # 20 steps of 1000 operations: 30 of 660 (19 800 of 20 000), 80 of 250, never more than the cap.
    assert equal_flops_steps(20, 1000, 660, 4.0) == 30
    assert equal_flops_steps(20, 1000, 250, 4.0) == 80
    assert equal_flops_steps(20, 1000, 10, 4.0) == 80
    assert equal_flops_steps(20, 1000, 10, 1.55) == 31
    assert equal_flops_steps(20, 1000, 1000, 4.0) == 20


def test_the_longer_training_is_charged(lab: Lab):
    found = lab.search("uniform")
    job = lab.transfer(found, "fresh", budget=0.1)
    once = lab.again(job).values
    job = changed(job, flops_cap=3.0)
    longer = lab.again(job).values
    # The architecture needs less than a third of the operations, so the cap holds: 60 steps for 20.
    assert 3 * once.macs < lab.output(lab.search("dense")).values.architectures[0].macs
    for one, other in zip(once.results, longer.results, strict=True):
        assert other.train_flops - one.train_flops == 6 * once.macs * 40 * 32
