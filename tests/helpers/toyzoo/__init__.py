"""Checks of a network that do what its name says: what the zoo's run is tested with."""

from typing import ClassVar

from benchmark.studies.zoo.job import CheckSpec


class Fake(CheckSpec):
    module: ClassVar[str] = "toyzoo.fake"
