"""The rules of a sound suite that can be checked from its files (docs/method.md): what breaks one is no headline."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.analysis import blalock, comparability, processors
from benchmark.analysis.audit_case import Case, Checked, named
from benchmark.analysis.comparisons import Contrast, by_seed, compare
from benchmark.analysis.doubled_training import SOURCE
from benchmark.config.params import CostKind, Params
from benchmark.protocol.controls import COMPARED, DENSE

FEWEST_BUDGETS, SMALLEST_BUDGET = 5, 0.01  # two orders of magnitude below the dense control
FEWEST_SEEDS, FEWEST_SEEDS_EMBEDDED = 5, 3
EMBEDDED = frozenset({"digits", "glyphs"})  # data sets that come with the libraries: suites that anybody can run
FEWEST_RATES = 5
FEWEST_EPISODES = {"nearest": 100, "probe": 1, "finetune": 10}
LONGER_GAINS = 0.005  # at most, of the dense control on the source from twice the training
ROUNDING = 1e-6  # summaries have six digits


@dataclass(frozen=True)
class Finding:
    """Whether a suite keeps a rule, and what was found."""

    rule: str
    passed: bool
    detail: str


def audit(
    params: Params,
    suite: str,
    main: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]] = (),
    rules: Collection[str] | None = None,
) -> list[Finding]:
    """Check every rule on a suite, or only `rules`.

    `main` is its summary, `others` are those of its further costs and measures.
    """
    case = Case(params, suite, main, [main, *others])
    return [Finding(name, *check(case)) for name, check in RULES.items() if rules is None or name in rules]


def broken(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the findings, as a summary holds them, of rules that are not kept."""
    return [finding for finding in findings if not finding["passed"]]


def _budgets(case: Case) -> Checked:
    budgets = case.config.grid.budgets
    kept = len(budgets) >= FEWEST_BUDGETS and min(budgets) <= SMALLEST_BUDGET
    return kept, f"{len(budgets)} budgets down to {min(budgets):g}"


def _seeds(case: Case) -> Checked:
    embedded = case.config.data.source.name.partition(":")[0] in EMBEDDED
    fewest = FEWEST_SEEDS_EMBEDDED if embedded else FEWEST_SEEDS
    seeds = len(case.config.grid.seeds)
    return seeds >= fewest, f"{seeds} seeds, at least {fewest} are asked for"


def _costs(case: Case) -> Checked:
    costs: list[CostKind] = case.config.grid.costs
    return set(costs) >= {"params", "macs"}, f"budgets in {' and '.join(costs)}"


def _dense(case: Case) -> Checked:
    lacking = [
        f"{granularity}, weights {weights}"
        for granularity in case.config.grid.granularities
        for weights in dict.fromkeys((case.main["headline"]["weights"], "scratch"))
        if not case.at_headline("cells", method=DENSE, granularity=granularity, weights=weights)
    ]
    return not lacking, f"no dense control: {'; '.join(lacking)}" if lacking else "there, also without a source"


def _floors(case: Case) -> Checked:
    shots_on = case.main["axes"]["shots"]
    there = {(floor["measure"], floor["target"], floor["shots"]) for floor in case.main["floors"]}
    wanted = [(m, t, k) for m in ("nearest", "probe") for t, shots in shots_on.items() for k in shots]
    lacking = [f"{m} on {t} at {k} shots" for m, t, k in wanted if (m, t, k) not in there]
    lacking += [f"guessing on {target}" for target in shots_on if target not in case.main["data"]]
    return not lacking, f"not measured: {lacking[0]} ({len(lacking)} in all)" if lacking else f"all {len(wanted)}"


def _floors_beaten(case: Case) -> Checked:
    found = list(_leads(case))
    if not found:
        return False, "no floor or no dense control to compare"
    return all(resolved for _, resolved in found), "; ".join(text for text, _ in found)


def _leads(case: Case) -> Iterator[tuple[str, bool]]:
    """The dense control minus each floor where the headline is, paired by seed."""
    seeds = case.main["axes"]["seeds"]
    dense = case.at_headline("cells", method=DENSE, weights=case.main["headline"]["weights"])[:1]
    contrasts = [
        Contrast({"measure": floor["measure"]}, by_seed(cell, seeds), by_seed(floor, seeds))
        for floor in case.at_headline("floors")
        for cell in dense
    ]
    for one in compare(contrasts):
        lead = one.test
        half = "" if lead.half is None else f" ± {100 * lead.half:.1f}"
        text = f"{100 * lead.mean:+.1f}{half} points over {one.place['measure']} on raw pixels"
        yield text, lead.resolved and lead.mean > 0


def _temperatures(case: Case) -> Checked:
    if "dap" not in case.params.methods_of(case.suite):
        return True, "DAP is not in the suite"
    from benchmark.dap.pruner import DAP

    set_here = case.params.method("dap").params | case.config.method("dap").params
    chosen = DAP.Parameters.model_validate(set_here)
    return chosen.tau_low < chosen.tau_high, f"forward {chosen.tau_low:g}, backward {chosen.tau_high:g}"


def _budgets_met(case: Case) -> Checked:
    shares = [record for one in case.slices for record in one["largest_shares"]]
    most = max(shares, key=lambda record: record["share"])
    kept = most["share"] <= 1 + ROUNDING
    return kept, f"at most {100 * most['share']:.4g} % of a budget ({named(most)} at {most['budget']:g})"


def _learning_rates(case: Case) -> Checked:
    rates = case.main["tuning"]
    if not rates:
        return False, "no learning rates were chosen"
    few = [rate for rate in rates if len(rate["tried"]) < FEWEST_RATES]
    edge = [rate for rate in rates if rate["lr"] in _ends([tried["lr"] for tried in rate["tried"]])]
    if few or edge:
        return False, f"of {len(rates)}, {len(few)} of fewer than {FEWEST_RATES} tried, {len(edge)} at the edge"
    return True, f"{len(rates)}, each inside of the rates that were tried"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _processor(case: Case) -> Checked:
    found = processors.kinds(case.main["provenance"])
    return len(found) == 1, "; ".join(found)


def _primary(case: Case) -> Checked:
    records = case.main["primary"]
    tested = [record for record in records if record["p"] is not None]
    return bool(records) and len(tested) == len(records), f"{len(records)} named in params.yaml, {len(tested)} tested"


def _episodes(case: Case) -> Checked:
    found = {one["slice"]["measure"]: _fewest_episodes(one) for one in case.slices}
    kept = all(count >= FEWEST_EPISODES[measure] for measure, count in found.items())
    return kept, ", ".join(f"{measure} {count} (of {FEWEST_EPISODES[measure]})" for measure, count in found.items())


def _fewest_episodes(summary: Mapping[str, Any]) -> int:
    return min((cell["episodes"] for cell in summary["cells"]), default=0)


def _complete(case: Case) -> Checked:
    # What a method cannot give (own weights, a granularity it does not serve) is absent as a whole.
    holes = [entry for one in case.slices for entry in one["missing"] if entry["absent"] < entry["expected"]]
    absent = sum(entry["absent"] for entry in holes)
    return not holes, f"{absent} rows of {holes[0]['method']} and others are absent" if holes else "no row is absent"


def _source_training(case: Case) -> Checked:
    gains = [record["difference"] for record in case.main["twice"] if record["on"] == SOURCE]
    if not gains:
        return False, "not known: the control twice is not in the suite"
    return gains[0] <= LONGER_GAINS, f"twice as long: {100 * gains[0]:+.1f} points on the source"


def _controls(case: Case) -> Checked:
    lacking = [control for control in COMPARED if control not in case.config.transfer.controls]
    return not lacking, f"lacks {', '.join(lacking)}" if lacking else ", ".join(COMPARED)


# Those that the rows of one method can break, whatever the suite is.
OF_ONE_METHOD = (
    "no budget is exceeded",
    "no rows are absent",
    "the same episodes for all methods",
    "the same recipe for all methods",
    "compute is charged",
)
RULES: dict[str, Callable[[Case], Checked]] = {
    f"at least {FEWEST_BUDGETS} budgets over two orders of magnitude": _budgets,
    "enough search seeds": _seeds,
    "budgets in parameters and in MACs": _costs,
    "the dense control, also in scratch": _dense,
    "floors on every target: guessing and raw pixels": _floors,
    "the dense control is ahead of raw pixels by more than the interval": _floors_beaten,
    "two temperatures in DAP's default": _temperatures,
    "no budget is exceeded": _budgets_met,
    "no learning rate at the edge of those tried": _learning_rates,
    "one kind of processor": _processor,
    "primary endpoints were named and tested": _primary,
    "enough episodes": _episodes,
    "no rows are absent": _complete,
    "the source training is long enough": _source_training,
    "the sanity and compute controls": _controls,
    **comparability.RULES,
    **blalock.RULES,
}
