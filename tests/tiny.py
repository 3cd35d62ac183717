"""params.yaml of a suite so small that all of it runs in seconds."""

TINY = """\
run:
  suites: [tiny]
  methods: [dense, uniform, random, magnitude]

compute: {jobs: 1, threads: 1, device: cpu}

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
