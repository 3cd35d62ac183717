"""The slices of a suite: its rows of one kind of cost and one measure, each analysed as a suite of its own."""

from dataclasses import dataclass

from benchmark.config.params import CostKind, Measure, Params, SuiteConfig


@dataclass(frozen=True)
class Slice:
    """A cost that budgets are shares of, and what accuracies are measured by."""

    cost: CostKind
    measure: Measure

    @property
    def name(self) -> str:
        """The name of the slice's files."""
        return f"{self.cost}-{self.measure}"


def slices(config: SuiteConfig) -> list[Slice]:
    """Return the slices of a suite; the first, of its first cost and the measure of its headline, is the main one."""
    transfer = config.transfer
    measures = sorted(transfer.measures, key=lambda measure: measure != transfer.first_measure)
    return [Slice(cost, measure) for cost in config.grid.costs for measure in measures]


def sliced(params: Params, suite: str, one: Slice) -> Params:
    """Return `params` in which the suite has this cost and this measure only."""
    config = params.suites[suite]
    transfer, chosen = config.transfer, config.transfer.finetune_shots
    update: dict[str, object] = {"headline": None}
    update |= {str(measure): None for measure in transfer.measures if measure != one.measure}
    targets = config.data.targets
    if one.measure != "finetune":
        # An accuracy of frozen features is a mean over episodes already.
        update["draws"] = 1
        targets = [target.model_copy(update={"draws": None}) for target in targets]
    elif chosen is not None:
        update["shots"] = [shots for shots in transfer.shots if shots in chosen]
        kept = [[k for k in target.shots or transfer.shots if k in chosen] for target in targets]
        targets = [t.model_copy(update={"shots": shots}) for t, shots in zip(targets, kept, strict=True) if shots]
    narrow = config.model_copy(
        update={
            "grid": config.grid.model_copy(update={"costs": [one.cost]}),
            "transfer": transfer.model_copy(update=update),
            "data": config.data.model_copy(update={"targets": targets}),
        }
    )
    return params.model_copy(update={"suites": params.suites | {suite: narrow}})
