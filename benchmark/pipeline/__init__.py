"""From params.yaml to files: the workers of a suite, the stages of dvc.yaml and the one driver of both."""
