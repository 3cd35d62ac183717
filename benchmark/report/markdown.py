"""Tables in Markdown."""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return a Markdown table whose first `words` columns hold words, the others numbers."""
    rule = "|:--" * words + "|--:" * (len(heads) - words) + "|"
    first, *lines = ("| " + " | ".join(row) + " |" for row in (heads, *rows))
    return "\n".join([first, rule, *lines])
