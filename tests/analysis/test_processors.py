import pytest

from benchmark.analysis.processors import kind, kinds, one_kind
from benchmark.errors import BenchError

AMD = {"device": "cpu", "machine": {"cpu": "AMD EPYC", "cores": 2}}
INTEL = {"device": "cpu", "machine": {"cpu": "Xeon"}}
GPU = {"device": "NVIDIA H100", "machine": {"cpu": "Xeon"}}


def test_the_kind_is_what_computes():
    assert [kind(one) for one in (AMD, INTEL, GPU, {})] == ["AMD EPYC", "Xeon", "NVIDIA H100", "unknown CPU"]
    assert kinds({"dap": AMD, "dense": INTEL, "flat": AMD}) == {"AMD EPYC": ["dap", "flat"], "Xeon": ["dense"]}


def test_one_name_may_be_of_several_kinds():
    milan, genoa = (AMD | {"machine": {"cpu": "AMD EPYC", "cpu_model": f"family 25, model {n}"}} for n in (1, 17))
    assert kind(genoa) == "AMD EPYC, family 25, model 17"
    assert set(kinds({"dap": milan, "dense": genoa})) == {kind(milan), kind(genoa)}
    # A file of before these numbers were written.
    assert kinds({"dap": AMD, "dense": genoa}) == {kind(genoa): ["dap", "dense"]}
    assert set(kinds({"dap": AMD, "dense": genoa, "flat": milan})) == {"AMD EPYC", kind(milan), kind(genoa)}


def test_several_kinds_are_refused_by_name():
    one_kind({"dap": AMD, "dense": AMD | {"machine": {"cpu": "AMD EPYC", "cores": 64}}}, "digits")
    message = (
        r"digits: results of 2 kinds of processor cannot be paired \(dap on AMD EPYC; dense on NVIDIA H100\); compute"
    )
    with pytest.raises(BenchError, match=message):
        one_kind({"dap": AMD, "dense": GPU}, "digits")
