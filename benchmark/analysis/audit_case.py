"""What the rules of an audit look at: the parameters and the summaries of one suite."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.config.params import Params, SuiteConfig

Checked = tuple[bool, str]


@dataclass(frozen=True)
class Case:
    """The suite's parameters and its summaries, that of the headline (`main`) first among `slices`."""

    params: Params
    suite: str
    main: Mapping[str, Any]
    slices: Sequence[Mapping[str, Any]]

    @property
    def config(self) -> SuiteConfig:
        """The suite's section of params.yaml."""
        return self.params.suites[self.suite]

    def at_headline(self, name: str, **where: Any) -> list[Mapping[str, Any]]:
        """Return the main summary's records at the headline's target and shots."""
        headline = self.main["headline"]
        where = {"target": headline["target"], "shots": headline["shots"]} | where
        return [record for record in self.main[name] if all(record[key] == value for key, value in where.items())]

    def distilled(self, cell: Mapping[str, Any]) -> bool:
        """Return whether the networks of a cell had a teacher when they were trained on the source."""
        kind = self.params.distil_of(self.suite, cell["method"], cell["variant"])
        return kind != "none" and cell["weights"] == "fresh"

    def compared(self) -> list[Mapping[str, Any]]:
        """Return the cells that the headline compares: at its target, shots and weights mode."""
        return self.at_headline("cells", weights=self.main["headline"]["weights"])


def named(cell: Mapping[str, Any]) -> str:
    """Return a cell's method with its variant, as "flat+last"."""
    return "+".join(filter(None, (cell["method"], cell["variant"])))
