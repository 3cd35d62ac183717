"""A suite whose budgets are shares of the peak memory."""

from pathlib import Path

import yaml

from benchmark.config.params import Params, parse
from benchmark.pipeline.collect import rows_of
from benchmark.pipeline.stages import plan_of, prepare_data, run_suite, stage


def params_of(text: str, **grid: object) -> Params:
    content = yaml.safe_load(text)
    content["run"]["methods"] = ["dense", "uniform", "random"]
    suite = content["suites"]["tiny"]
    suite["grid"] |= {"granularities": ["channel"], "budgets": [0.5], "costs": ["memory"], "seeds": [0]} | grid
    suite["transfer"] |= {"weights": ["fresh"], "shots": [1]}
    return parse(Params, content, "params.yaml")


def test_rows_lie_within_the_memory_and_the_report_names_it(tiny_text: str, tmp_path: Path) -> None:
    params = params_of(tiny_text)
    assert run_suite(params, ["tiny"], root=tmp_path) == 0
    rows = rows_of(plan_of(params, "tiny", tmp_path, prepare_data(params, "tiny", tmp_path)), "uniform")
    assert rows and all(row.cost == "memory" and 0.25 < row.complexity <= 0.5 for row in rows)
    assert all(row.params > 0 and row.macs > 0 for row in rows)
    for step in ("data", "pretrain", "floors", "code"):
        assert stage(params, step, "tiny", root=tmp_path) == 0
    for method in params.run.methods:
        for step in ("search", "transfer"):
            assert stage(params, step, "tiny", method, root=tmp_path) == 0
    for step in ("analyse", "report"):
        assert stage(params, step, "tiny", root=tmp_path) == 0
    tables = tmp_path / "reports" / "tables" / "tiny"
    assert "peak activation memory" in (tables / "main.md").read_text()
    figure = (tmp_path / "reports" / "figures" / "tiny" / "costs.svg").read_text()
    assert "peak activation memory (% of the large model)" in figure and "MACs (% of the large model)" in figure
