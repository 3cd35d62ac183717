"""How a section of params.yaml, or a whole spec, enters a job's key."""

from typing import Any

from benchmark.config.params import Section

# The defaults that keys were made with. An option at its default is left out of the JSON, so that introducing
# it changes no key; the code of config/ is not in the key either. So a default may only be left out as long
# as it is the one recorded here: after a change of a default its value is written out, and the keys are new.
DEFAULTS: dict[str, dict[str, Any]] = {
    "DatasetRef": {"classes": None, "channels": None, "size": None},
    "TargetRef": dict.fromkeys(("shots", "draws", "pool", "steps", "batch", "test", "ways")),
    "Split": {"train": 0.6, "validation": 0.2},
    "ModelRef": {"width": 1.0, "pretrained": False, "file": None, "options": {}},
    "Recipe": {
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "warmup": 0.1,
        "shift": 1,
        "label_smoothing": 0.0,
        "clip": 5.0,
        "norm_momentum": 0.1,
        "flip": False,
        "precision": "float32",
    },
    "FineTuning": {"trained": "all"},
    "Distillation": {"temperature": 4.0, "weight": 0.9, "structure": 0.5},
    "SourceSpec": {"threads": 1, "library": None, "pretrained": None},
    "PretrainSpec": {"sanity": None},
    "TuneSpec": {"finetune": None, "scratch": None, "seeds": None, "extensions": 0},
    "SearchSpec": {"sanity": None},
    "FeatureMeasure": {"strength": None},
    "TargetSpec": {
        **{"draws": 0, "recipe": None, "finetune_shots": None, "nearest": None, "probe": None},
        **{"test": None, "ways": None, "top5": False},
    },
    "Form": {"dense": False, "kept": None, "shuffled": None, "architecture": None},
    "TransferSpec": {"flops_cap": None, "state": None, "retraining": 0, "teacher": None, "distillation": None},
}


def options(section: Section) -> dict[str, Any]:
    """Return the section, and those within it, as JSON without what is left at its recorded default."""
    recorded: dict[str, Any] = {}
    for base in type(section).__mro__:
        recorded |= DEFAULTS.get(base.__name__, {})
    content = {}
    for name, field in type(section).model_fields.items():
        value = _plain(getattr(section, name))
        if field.is_required() or value != _plain(field.default) or value != recorded.get(name, value):
            content[name] = value
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return options(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
