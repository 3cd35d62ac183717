"""How a section of params.yaml enters a job's spec, and with it its key."""

from typing import Any

from benchmark.config.params import Section

# The defaults that keys were made with. An option at its default is left out of a job's spec, so that introducing
# it changes no key; the code of config.py is not in the key either. So a default may only be left out as long
# as it is the one recorded here: after a change of a default its value stands in the spec, and the keys are new.
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
}


def options(section: Section) -> dict[str, Any]:
    """Return the section as JSON without the options that are left at their recorded default."""
    recorded: dict[str, Any] = {}
    for base in type(section).__mro__:
        recorded |= DEFAULTS.get(base.__name__, {})
    content = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = content[name]
        if not field.is_required() and value == field.default and value == recorded.get(name, value):
            del content[name]
    return content
