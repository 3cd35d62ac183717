"""From params.yaml to files: the jobs of a suite, the stages of dvc.yaml and the one driver of both."""
