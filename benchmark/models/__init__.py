"""The large models whose sub-architectures are searched."""

from benchmark.models.heads import freeze_body, head_names, replace_head
from benchmark.models.initialisation import initialise
from benchmark.models.registry import (
    build,
    build_pretrained,
    check_form,
    check_images,
    check_ref,
    describe,
    model_class,
    model_names,
)

__all__ = [
    "build",
    "build_pretrained",
    "check_form",
    "check_images",
    "check_ref",
    "describe",
    "freeze_body",
    "head_names",
    "initialise",
    "model_class",
    "model_names",
    "replace_head",
]
