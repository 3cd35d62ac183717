"""How much the suite's shortcuts save, as ratios on this machine: `python -m benchmark.studies.speed`."""
