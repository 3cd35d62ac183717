import torch

from benchmark.seeds import derive, generator


def test_sub_seeds_are_fixed_for_ever() -> None:
    # `printf '[0,"search",1]' | sha256sum` begins with these 8 bytes.
    assert derive(0, "search", 1) == 0xFE30B72738DEBE30 >> 1
    assert 0 <= derive(2**31, "x") < 2**63


def test_every_part_of_the_name_matters() -> None:
    calls = [(0,), (1,), (0, "a"), (0, "a", "b"), (0, "ab"), (0, 1), (0, "1"), (0, "a", 0), (0, 0, "a")]
    assert len({derive(seed, *names) for seed, *names in calls}) == len(calls)


def test_generators_repeat_and_differ() -> None:
    first = torch.randn(4, generator=generator(0, "a"))
    assert torch.equal(first, torch.randn(4, generator=generator(0, "a")))
    assert not torch.equal(first, torch.randn(4, generator=generator(0, "b")))
    assert not torch.equal(first, torch.randn(4, generator=generator(1, "a")))
