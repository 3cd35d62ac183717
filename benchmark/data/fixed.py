"""What data sets without an option share."""

from typing import ClassVar

from benchmark.data.base import Dataset
from benchmark.errors import BenchError


class PlainDataset(Dataset):
    """A data set that is always the same: its reference is its name alone, and `count` is its number of classes."""

    count: ClassVar[int]

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return the one name."""
        return (cls.name,)

    @classmethod
    def check(cls, option: str, where: str) -> int:
        """Refuse an option; return the number of classes."""
        if option:
            raise BenchError(f"{where}: {cls.name!r} takes no option, but {option!r} follows it; write {cls.name!r}")
        return cls.count
