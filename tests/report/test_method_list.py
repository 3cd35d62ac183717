"""The README's list of methods: what the classes say, and the cost of a search by hand."""

import shutil

from benchmark.pruning.looks import looks
from benchmark.pruning.registry import pruners
from benchmark.report.method_list import BEGIN, check, render_block, update


def summary(**cells):
    """Of a dense control that takes 200 to train, and of cells (search, pretraining) of methods."""
    base = {"variant": "", "weights": "fresh"}
    dense = {**base, "method": "dense", "search_flops": 0.0, "pretrain_flops": 0.0, "train_flops": 200.0}
    found = [
        {**base, "method": method, "search_flops": search, "pretrain_flops": before, "train_flops": 20.0}
        for method, pairs in cells.items()
        for search, before in pairs
    ]
    dear = {**found[0], "variant": "dear", "search_flops": 9e9}
    return {
        "suite": "small",
        "title": "Small",
        "axes": {"cost": "params", "weights": ["fresh"]},
        "headline": {"weights": "fresh", "shots": 5, "target": "t"},
        "cells": [dense, *found, dear],
    }


def rows(text):
    table = [line for line in text.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for line in table[2:] for cells in [[c.strip() for c in line.strip("|").split("|")]]}


def test_what_is_searched_needed_and_spent_by_hand():
    text = render_block(
        summary(dap=[(300.0, 0.0), (340.0, 0.0)], magnitude=[(0.0, 200.0)]), ["dense", "magnitude", "dap", "shallow"]
    )
    found = rows(text)
    assert list(found) == ["magnitude", "DAP", "shallow"]
    # Two searches of 300 and 340 for a pretraining of 200.
    assert found["DAP"] == ["Colombo & Gao 2021, arXiv 2107.03375 (our reconstruction)", *["yes"] * 3, "–", "1.6"]
    assert found["magnitude"][1:] == ["yes", "yes", "yes", "needed", "1.0"]
    assert found["shallow"][1:] == ["yes", "yes", "–", "–", "–"]
    assert "suite small" in text


def test_a_rule_that_keeps_all_blocks_does_not_search_depth():
    searched = {name: look.searches for name, look in looks().items()}
    assert searched["flat"] == {"width": True, "depth": False, "weights": False}
    assert searched["tas"] == {"width": True, "depth": True, "weights": False}
    assert searched["lamp"] == {"width": True, "depth": False, "weights": True}


def test_looks_say_what_the_classes_say():
    for name, kind in pruners().items():
        look = looks()[name]
        for trait in ("reference", "granularities", "uses_pretrained", "trains", "color", "marker"):
            assert getattr(look, trait) == getattr(kind, trait), (name, trait)


def test_the_block_is_written_and_checked(reported, tmp_path):
    shutil.copytree(reported.root / "reports" / "analysis", tmp_path / "reports" / "analysis")
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\n<!-- methods:end -->\n")
    params = reported.params
    assert not check(page, params) and update(page, params)
    assert check(page, params) and not update(page, params)
