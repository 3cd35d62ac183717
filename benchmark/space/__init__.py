"""The search space of a large model: units, gates, exact costs, extraction; and architectures as files."""

from benchmark.space.architecture import Architecture
from benchmark.space.block import BlockSpace
from benchmark.space.build import build_space
from benchmark.space.channel import ChannelSpace
from benchmark.space.counting import count
from benchmark.space.space import Group, SearchSpace
from benchmark.space.state import pack_state, unpack_state
from benchmark.space.weight import WeightSpace

__all__ = [
    "Architecture",
    "BlockSpace",
    "ChannelSpace",
    "Group",
    "SearchSpace",
    "WeightSpace",
    "build_space",
    "count",
    "pack_state",
    "unpack_state",
]
