from benchmark.report.explore.columns import columns


def test_words_are_stored_once_and_numbers_short():
    records = [
        {"method": "dap", "accuracy": 0.123456789, "half": None, "by_seed": [0.5, None], "other": 1},
        {"method": "uniform", "accuracy": 1.0, "half": 0.25, "by_seed": [1 / 3, 2.0], "other": 2},
        {"method": "dap", "accuracy": 1234567.0, "half": 0.5, "by_seed": [], "other": 3},
    ]
    assert columns(records, ("method", "accuracy", "half", "by_seed")) == {
        "method": {"words": ["dap", "uniform"], "at": [0, 1, 0]},
        "accuracy": [0.12346, 1, 1234600],
        "half": [None, 0.25, 0.5],
        "by_seed": [[0.5, None], [0.33333, 2], []],
    }
    assert columns([], ("method",)) == {"method": []}


def test_whole_numbers_keep_all_digits_and_truth_stays():
    assert columns([{"params": 922842, "apart": True}], ("params", "apart")) == {"params": [922842], "apart": [True]}
