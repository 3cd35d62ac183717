"""What raw pixels give on the same episodes: the floors that a network must beat."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.analysis.groups import OVERALL, mean
from benchmark.analysis.intervals import mean_interval
from benchmark.config.params import Measure
from benchmark.errors import BenchError
from benchmark.files import read_json

SCHEMA = 1


def floors(
    path: Path, measure: Measure, seeds: Sequence[int], shots_on: Mapping[str, Sequence[int]]
) -> list[dict[str, Any]]:
    """Return the floor of a measure by target and number of shots, mean over seeds; also over all targets.

    Reads floors.json of a suite's results; none where there is no such file. For fine-tuning it is that of the probe:
    a linear classifier of the pixels.
    """
    if not path.exists():
        return []
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BenchError(f"{path}: expected floors of schema {SCHEMA}; run the stage floors again")
    wanted = "probe" if measure == "finetune" else measure
    found: dict[tuple[str, int], dict[int, float]] = {}
    for entry in content["floors"]:
        if (
            entry["measure"] == wanted
            and entry["seed"] in seeds
            and entry["shots"] in shots_on.get(entry["target"], ())
        ):
            found.setdefault((entry["target"], entry["shots"]), {})[entry["seed"]] = entry["accuracy"]
    for shots in sorted({shots for _, shots in found}):
        members = [found[target, shots] for target in shots_on if (target, shots) in found]
        if len(members) > 1:
            found[OVERALL, shots] = {
                s: mean(member[s] for member in members) for s in seeds if all(s in m for m in members)
            }
    return [
        {"target": target, "shots": shots, "measure": wanted, **_estimate(list(by_seed.values()))}
        for (target, shots), by_seed in found.items()
        if by_seed
    ]


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    estimate = mean_interval(values)
    return {"accuracy": estimate.mean, "half": estimate.half, "seeds": estimate.n}
