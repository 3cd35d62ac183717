"""Statistics of a suite: from result rows to means, intervals, paired tests and areas."""

from benchmark.analysis.summary import SCHEMA, analyse, analyse_suite, read_summary

__all__ = ["SCHEMA", "analyse", "analyse_suite", "read_summary"]
