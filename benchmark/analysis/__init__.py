"""Statistics of a suite: from result rows to means, intervals, paired tests and areas."""

from benchmark.analysis.intervals import Estimate, Paired, area, holm, mark_best, mean_interval, paired
from benchmark.analysis.summary import SCHEMA, analyse, analyse_suite, read_summary

__all__ = [
    "SCHEMA",
    "Estimate",
    "Paired",
    "analyse",
    "analyse_suite",
    "area",
    "holm",
    "mark_best",
    "mean_interval",
    "paired",
    "read_summary",
]
