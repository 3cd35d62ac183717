"""Which scales belong to which channel: of one norm, and of all norms in a residual stream."""

from problems import Normed, problem, resnet

from benchmark.pruning.norm_scales import norm_scales


def test_one_norm() -> None:
    found = norm_scales(problem("channel", build=Normed), "here")
    assert {name: units.tolist() for name, units in found.items()} == {"norm.weight": [0, 1, 2, 3]}


def test_the_norms_of_a_residual_stream_scale_the_same_channels() -> None:
    made = problem("channel", build=resnet)
    found = norm_scales(made, "here")
    stem = list(range(4))
    streams = [name for name, units in found.items() if units.tolist() == stem]
    assert streams == ["stem.1.weight", *(f"blocks.{place}.bn2.weight" for place in range(3))]
    # Every batch norm of the network scales some channels.
    assert len(found) == sum(name.endswith("running_mean") for name in made.space.shapes)
