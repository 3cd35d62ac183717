"""The one renderer: a table as Markdown, LaTeX, HTML or CSV. No value is a dash, in CSV nothing."""

from collections.abc import Mapping
from html import escape

from benchmark.analysis.output import csv_text
from benchmark.report.labels import DAGGER, DASH, NBSP
from benchmark.report.table import Cell, Table

# What LaTeX would take for its own, or its usual fonts lack.
LATEX = {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$", "±": r"$\pm$", NBSP: "~"}


def csv(table: Table) -> str:
    """Return the rows as CSV, without marks and levels; empty without rows."""
    return csv_text(table.heads, table.texts) if table.rows else ""


def markdown(table: Table) -> str:
    """Return the table in Markdown; levels that belong to no column are a sentence below it."""

    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rule = "".join({"l": "|:--", "r": "|--:"}[column.align] for column in table.columns) + "|"
    rows = [[markdown_cell(cell) for cell in table.shown(row)] for row in table.rows]
    levels = [[markdown_cell(cell) for cell in table.shown(level)] for level in table.levels]
    below = "; ".join(": ".join(level) for level in levels if len(level) == 2)
    rows += [[f"*{name}*", *cells] for name, *cells in levels if len(cells) > 1]
    text = "\n".join([line(table.heads), rule, *map(line, rows)])
    return text + (f"\n\n{below[0].upper()}{below[1:]}." if below else "")


def markdown_cell(cell: Cell | None) -> str:
    """Return one cell in Markdown."""
    if cell is None:
        return DASH
    if cell.link:
        return f"[{cell.text}]({cell.link})"
    if cell.mark == "best":
        return f"**{cell.text}**"
    return cell.text + (NBSP + DAGGER if cell.mark else "")


def latex(blocks: Mapping[str, Table]) -> str:
    r"""Return tables of the same columns as one `tabular`, each a block of rows below its title; needs booktabs."""
    columns = next(iter(blocks.values())).columns
    span = rf"\multicolumn{{{len(columns) - 1}}}{{l}}"

    def line(*cells: str) -> str:
        return f"{' & '.join(cells)} " + r"\\"

    lines = [rf"\begin{{tabular}}{{{''.join(column.align for column in columns)}}}", r"\toprule"]
    lines += [line(*(escape_latex(column.head) for column in columns))]
    for title, table in blocks.items():
        lines += [r"\midrule", line(rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{escape_latex(title)}}}}}")]
        lines += [line(*map(_latex_cell, table.shown(row))) for row in table.rows]
        for name, *cells in (map(_latex_cell, table.shown(level)) for level in table.levels):
            lines += [line(name, *cells) if len(cells) > 1 else line(name, f"{span}{{{cells[0]}}}")]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def escape_latex(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def _latex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    if cell.mark == "best":
        return rf"\textbf{{{escape_latex(cell.text)}}}"
    return escape_latex(cell.text) + (r"$^\dagger$" if cell.mark else "")


def html(table: Table, caption: str = "", style: str = "numbers") -> str:
    """Return a `table` element of the class `style` that scrolls sideways; its first column is the rows' headings."""
    rows, levels = ([table.shown(values) for values in part] for part in (table.rows, table.levels))
    # Room for a dagger in the columns that may have one, so that their numbers stay aligned.
    marked = {at for row in rows for at, cell in enumerate(row) if cell and cell.mark}
    room = [at in marked for at in range(len(table.columns))]
    kinds = ["", *(' class="text"' if column.align == "l" else "" for column in table.columns[1:])]

    def line(cells: list[Cell | None], kind: str) -> str:
        heading = f'<th scope="row">{_html_text(cells[0], room=False)}</th>'
        beyond = f'<td colspan="{len(kinds) - len(cells)}"></td>' if len(cells) < len(kinds) else ""
        return f"<tr{kind}>{heading}{''.join(map(_html_cell, cells[1:], kinds[1:], room[1:]))}{beyond}</tr>"

    heads = "".join(f'<th scope="col"{kind}>{_text(head)}</th>' for head, kind in zip(table.heads, kinds, strict=True))
    variants = [' class="variant"' if place in table.variants else "" for place in range(len(rows))]
    lines = ['<div class="scroll">', f'<table class="{style}">']
    lines += [f"<caption>{_text(caption)}</caption>"] if caption else []
    lines += [f"<thead><tr>{heads}</tr></thead>"] if any(table.heads) else []
    lines += ["<tbody>", *map(line, rows, variants), *(line(level, ' class="dense"') for level in levels)]
    return "\n".join([*lines, "</tbody>", "</table>", "</div>"])


def _html_cell(cell: Cell | None, kind: str, room: bool) -> str:
    kind = ' class="best"' if cell and cell.mark == "best" else kind
    return f"<td{kind}>{_html_text(cell, room)}</td>"


def _html_text(cell: Cell | None, room: bool) -> str:
    if cell is None:
        return DASH
    return _text(cell.text) + (f"<sup>{DAGGER if cell.mark == 'unresolved' else ''}</sup>" if room else "")


def _text(text: str) -> str:
    return escape(text, quote=False)
