"""How many images of each target also stand, nearly, in the source."""

from benchmark.report.view import View


def duplicates(view: View) -> list[str]:
    """Return a line per target whose near-duplicates were looked for."""
    return [
        f"{target}: {alike['images']:,} of {found['images']:,} images, {alike['exact']:,} of them equal pixel for pixel"
        for target, found in view.summary["data"].items()
        if (alike := found["near_duplicates"]) is not None
    ]


def legend(view: View) -> str:
    """Say what a near-duplicate is; empty where none were looked for."""
    reports = [found["near_duplicates"] for found in view.summary["data"].values()]
    made = [(report["side"], report["threshold"]) for report in reports if report is not None]
    if not made:
        return ""
    side, threshold = max(made)
    return (
        "Target images that look like one of the source, because grey thumbnails of at most "
        f"{side} × {side} pixels correlate by {threshold:g} or more:"
    )
