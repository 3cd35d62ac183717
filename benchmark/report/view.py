"""A summary as tables, figures and page ask for it."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.intervals import FEWEST
from benchmark.config.params import CostKind
from benchmark.protocol.controls import DENSE
from benchmark.report.labels import listing, plural

Record = dict[str, Any]
Job = tuple[str, str, str, str, str, float, int]


class View:
    """Look-ups in the summary of one suite; axes come in the order in which they are shown."""

    def __init__(self, summary: dict[str, Any]) -> None:
        axes = summary["axes"]
        self.summary = summary
        self.suite: str = summary["suite"]
        self.granularities: list[str] = axes["granularities"]
        self.budgets: list[float] = axes["budgets"]
        self.weights: list[str] = axes["weights"]
        self.targets: list[str] = axes["targets"]
        self.shots: list[int] = sorted({shots for target in self.targets for shots in axes["shots"][target]})
        self.seeds: list[int] = axes["seeds"]
        self.cost: CostKind = axes["cost"]
        self.headline_weights: str = summary["headline"]["weights"]
        self.headline_shots: int = summary["headline"]["shots"]
        self.headline_target: str = summary["headline"]["target"]
        # Not those that serve none of the suite's granularities: there is nothing to draw of them.
        measured = {cell["method"] for cell in summary["cells"]} - {DENSE}
        self.methods: list[str] = [entry["method"] for entry in axes["methods"] if entry["method"] in measured]
        self.measure: str = summary["slice"]["measure"]
        self.studies: list[Record] = summary.get("studies", [])
        self._studied = {(study["method"], variant) for study in self.studies for variant in study["variants"]}
        self._shots: dict[str, list[int]] = axes["shots"]
        self._variants = {entry["method"]: entry["variants"] for entry in axes["methods"]}
        self._cells: dict[Job, Record] = {
            (c["granularity"], c["method"], c["variant"], c["weights"], c["target"], c["budget"], c["shots"]): c
            for c in summary["cells"]
        }
        self._halves: dict[tuple[str, str, str, int, float | None], list[float]] = {}
        for test in summary["tests"]:
            if test["family"] == "methods" and test["measure"] in ("accuracy", "area") and test["half"] is not None:
                where = (test["granularity"], test["weights"], test["target"], test["shots"])
                self._halves.setdefault((*where, test.get("budget")), []).append(test["half"])
        self._areas: dict[tuple[str, str, str, str, str, int], Record] = {
            (a["granularity"], a["method"], a["variant"], a["weights"], a["target"], a["shots"]): a
            for a in summary["areas"]
        }

    def variants(self, method: str, granularity: str) -> list[str]:
        """Return the variants of a method at a granularity; "" is the default."""
        variants: list[str] = self._variants.get(method, {}).get(granularity, [])
        return variants

    def all_variants(self, method: str, studied: bool = True) -> list[str]:
        """Return the variants of a method at any granularity, all or only those that are in no study."""
        found = dict.fromkeys(v for g in self.granularities for v in self.variants(method, g))
        return [variant for variant in found if studied or (method, variant) not in self._studied]

    def entries(self, granularity: str) -> list[tuple[str, str]]:
        """Return every (method, variant) at a granularity but the dense control."""
        return [(method, variant) for method in self.methods for variant in self.variants(method, granularity)]

    def cell(
        self, granularity: str, method: str, variant: str, weights: str, target: str, budget: float, shots: int
    ) -> Record | None:
        """Return one cell of the summary, or None when it has no rows."""
        return self._cells.get((granularity, method, variant, weights, target, budget, shots))

    def dense(self, granularity: str, weights: str, target: str, shots: int) -> Record | None:
        """Return the dense control's cell."""
        return self.cell(granularity, DENSE, "", weights, target, 1.0, shots)

    def curve(self, granularity: str, method: str, variant: str, weights: str, target: str, shots: int) -> list[Record]:
        """Return a method's cells from the largest budget to the smallest; absent ones are left out."""
        cells = (self.cell(granularity, method, variant, weights, target, budget, shots) for budget in self.budgets)
        return [cell for cell in cells if cell]

    def area(self, granularity: str, method: str, variant: str, weights: str, target: str, shots: int) -> Record | None:
        """Return the area under a method's curve, or None."""
        return self._areas.get((granularity, method, variant, weights, target, shots))

    @property
    def too_few(self) -> str:
        """Why there are no intervals and tests, in a sentence; empty where the suite has seeds enough."""
        if len(self.seeds) >= FEWEST:
            return ""
        return (
            f"{plural(len(self.seeds), 'search seed').capitalize()}: means only, no intervals and no tests. They would "
            "rest on at most one difference between seeds, which says next to nothing."
        )

    @property
    def several(self) -> bool:
        """Whether the suite has more than one target."""
        return len(self.targets) > 1

    @property
    def shown_targets(self) -> list[str]:
        """The targets as tables show them: their mean first, where there are several."""
        return [OVERALL, *self.targets] if self.several else self.targets

    @property
    def setting(self) -> str:
        """The headline's shots, and its target where there are several, in words."""
        return f"{plural(self.headline_shots, 'shot')} per class" + (
            f", {self.headline_target}" if self.several else ""
        )

    @property
    def measured(self) -> str:
        """What the headline's accuracies are, in words."""
        if self.headline_target != OVERALL:
            return "accuracy on the target" + (f" {self.headline_target}" if self.several else "")
        return f"accuracy, mean over the targets {listing(self.targets_at(self.headline_shots))} (each counts the same)"

    def targets_at(self, shots: int) -> list[str]:
        """Return the targets that have this number of shots."""
        return [target for target in self.targets if shots in self._shots[target]]

    def shots_of(self, target: str) -> list[int]:
        """Return the numbers of shots on a target; the mean over targets exists where two or more share them."""
        if target == OVERALL:
            return [shots for shots in self.shots if len(self.targets_at(shots)) > 1]
        return self._shots[target]

    def chance(self, target: str, shots: int) -> float | None:
        """Return the accuracy of guessing on a target, or None where its number of classes is not known."""
        members = self.targets_at(shots) if target == OVERALL else [target]
        found = [self.summary["data"][member]["chance"] for member in members if member in self.summary["data"]]
        return sum(found) / len(found) if len(found) == len(members) else None

    def floors(self, target: str, shots: int) -> dict[str, Record]:
        """Return what raw pixels give on the same episodes, by measure; empty where that was not measured."""
        return {f["measure"]: f for f in self.summary["floors"] if (f["target"], f["shots"]) == (target, shots)}

    def smallest_differences(self, granularity: str, weights: str, target: str, shots: int) -> list[float | None]:
        """Return, for every budget and the area, the half width of the reference's difference from a rival.

        The median over the rivals: the smallest difference that the suite could have seen there. None without tests.
        """
        where = (granularity, weights, target, shots)
        found = [self._halves.get((*where, budget), []) for budget in (*self.budgets, None)]
        return [median(halves) if halves else None for halves in found]

    def parts(self) -> Iterator[tuple[str, str, str]]:
        """Yield (target, granularity, title) of every part of a table, the mean over targets first.

        The title names the target when there are several.
        """
        for target in self.shown_targets:
            for granularity in self.granularities:
                yield target, granularity, f"{target}, {granularity}" if self.several else granularity
