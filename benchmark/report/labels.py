"""What a reader sees instead of the identifiers of params.yaml."""

from collections.abc import Sequence

from benchmark.pruning.looks import looks

NBSP = "\u00a0"
MINUS = "\u2212"
DAGGER = "†"
DASH = "–"  # where there is no value
VARIANTS = {
    "l2": "L2",
    "layerwise-l2": "layerwise, L2",
    "second-order": "second order",
    "hard-narrow": "hard, narrow",
    "straight-through": "straight-through",
}
FLOORS = {"nearest": "raw pixels, nearest class mean", "probe": "raw pixels, logistic regression"}
COSTS = {"params": "parameters", "macs": "MACs", "memory": "peak activation memory"}
MEASURED = {
    "nearest": "nearest class mean of frozen features",
    "probe": "logistic regression on frozen features",
    "finetune": "fine-tuning",
}
GRANULARITIES = {"channel": "channels", "weight": "weights", "block": "blocks", "block+channel": "blocks and channels"}


def label(method: str, variant: str = "") -> str:
    """Return the display name of a method, "DAP (init)": its class's label, else its name with spaces."""
    known = looks().get(method)
    name = known.label if known is not None else method.replace("_", " ")
    return f"{name} ({variant_label(variant)})" if variant else name


def variant_label(variant: str) -> str:
    """Return the display name of a variant alone; the default variant is "default"."""
    return VARIANTS.get(variant, variant.replace("_", " ").replace("-", " ")) if variant else "default"


def percent(share: float) -> str:
    """Return a budget or complexity as text with a no-break space: 0.05 is "5 %", 0.005 is "0.5 %"."""
    return f"{100 * share:.3g}{NBSP}%"


def plural(count: int, noun: str) -> str:
    """Return "1 shot" or "5 shots"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listing(items: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def points(difference: float, half: float | None) -> str:
    """Return a difference of shares in percentage points with its interval's half width, as "+0.4 ± 1.2"."""
    text = f"{100 * difference:+.1f}".replace("-", MINUS)
    return text if half is None else f"{text}{NBSP}±{NBSP}{100 * half:.1f}"


def percents(share: float, half: float | None = None) -> str:
    """Return a share in percent without the sign, with its interval's half width where there is one: "86.4 ± 1.2"."""
    return f"{100 * share:.1f}" if half is None else f"{100 * share:.1f}{NBSP}±{NBSP}{100 * half:.1f}"


def p_text(p: float) -> str:
    """Return a p-value with two digits, "< 0.001" below that."""
    return f"<{NBSP}0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def unit(granularity: str) -> str:
    """Return what is pruned at a granularity, in the plural."""
    return GRANULARITIES.get(granularity, f"{granularity}s")
