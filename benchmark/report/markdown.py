"""Tables in Markdown: the one place that writes them."""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1, align: str = "") -> str:
    """Return a Markdown table whose first `words` columns hold words, the others numbers.

    `align` says it for every column instead: "l" for words, "r" for numbers.
    """
    align = align or "l" * words + "r" * (len(heads) - words)
    rule = "".join({"l": "|:--", "r": "|--:"}[one] for one in align) + "|"
    first, *lines = ("| " + " | ".join(row) + " |" for row in (heads, *rows))
    return "\n".join([first, rule, *lines])
