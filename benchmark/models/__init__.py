"""The large models whose sub-architectures are searched."""

from benchmark.models.initial import head_name, initialise, replace_head
from benchmark.models.registry import build, check_ref, describe, model_class, model_names

__all__ = ["build", "check_ref", "describe", "head_name", "initialise", "model_class", "model_names", "replace_head"]
