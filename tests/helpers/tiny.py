"""params.yaml of a suite so small that all of it runs in seconds, and of the same suite with everything optional."""

import copy
from typing import Any

import yaml

TINY = """\
run:
  suites: [tiny]
  methods: [dense, uniform, random, magnitude]

compute: {workers: 1, threads: 1, device: cpu}

methods:
  dense: {}
  uniform: {}
  random:
    variants:
      ratios: {params: {allocation: ratios}}
  magnitude: {}
  dap: {}

suites:
  tiny:
    title: Handwritten digits, 0-2 to 3-5, in seconds
    data:
      source: {name: digits, classes: [0, 1, 2]}
      targets:
        - {label: digits-3-5, name: digits, classes: [3, 4, 5]}
      pool: 20
    model: {name: "own:vgg16", width: 0.0625}
    grid:
      granularities: [channel, weight]
      budgets: [0.5, 0.1]
      seeds: [0, 1]
    training: {steps: 6, batch: 32, lr: 0.05}
    transfer:
      weights: [fresh, scratch, inherit]
      shots: [1, 5]
      draws: 2
      finetune: {steps: 4, batch: 15, lr: 0.05}
      scratch: {steps: 4, batch: 15, lr: 0.05}
    methods:
      dense: {}
      uniform: {}
      random: {}
      magnitude: {}
      dap: {}
"""

# Over the sections of the same names.
RICH: dict[str, dict[str, Any]] = {
    "data": {
        "source": {"name": "digits", "classes": [0, 1, 2, 3]},
        "targets": [
            {
                "label": "two-ways",
                "name": "digits",
                "classes": [4, 5, 6, 7],
                "ways": 2,
                "shots": [2, 1],
                "draws": 3,
                "pool": 10,
                "test": 12,
            },
            {"label": "merged", "name": "digits", "classes": [[4, 5], 8, 9], "steps": 3, "batch": 9},
        ],
    },
    "tuning": {"factors": [2.0, 0.5], "architectures": 2, "seeds": [1], "extensions": 0},
}


def rich() -> dict[str, Any]:
    """Return the content of a params.yaml whose suite `tiny` has tuning, a control, and targets of two kinds."""
    content: dict[str, Any] = yaml.safe_load(TINY)
    suite = content["suites"]["tiny"]
    for section, values in copy.deepcopy(RICH).items():
        suite[section] = suite.get(section, {}) | values
    suite["transfer"]["controls"] = ["twice"]
    return content
