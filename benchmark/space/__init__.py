"""The search space of a large model: units, gates, exact costs, extraction; and architectures as files."""

from benchmark.space.architecture import Architecture
from benchmark.space.base import Group, SearchSpace
from benchmark.space.block import BlockSpace
from benchmark.space.build import build_space
from benchmark.space.channel import ChannelSpace
from benchmark.space.graph.macs import count
from benchmark.space.weight import WeightSpace
from benchmark.space.weights_file import pack_state, unpack_state

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
