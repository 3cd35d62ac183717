"""The one renderer: the same table in four formats, by hand, and what each format must escape."""

import csv
import io
import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from benchmark.report import render
from benchmark.report.labels import NBSP
from benchmark.report.table import Cell, Column, Table, words

TABLE = Table(
    [words("method"), *(Column(head, format=lambda cell: cell) for head in (f"5{NBSP}%", "area"))],
    [["DAP", Cell("8.0", "best"), None], ["a & b", Cell("7.9", "unresolved"), Cell("1.0")]],
    levels=[["dense", Cell("9.0")], ["seen", Cell("0.5"), None]],
    variants={1},
)


def test_markdown() -> None:
    assert render.markdown(TABLE).splitlines() == [
        f"| method | 5{NBSP}% | area |",
        "|:--|--:|--:|",
        "| DAP | **8.0** | – |",
        f"| a & b | 7.9{NBSP}† | 1.0 |",
        "| *seen* | 0.5 | – |",
        "",
        "Dense: 9.0.",
    ]


def test_latex() -> None:
    assert render.latex({"1 shot": TABLE, "5 shots": Table(TABLE.columns, [])}).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"method & 5~\% & area \\",
        r"\midrule",
        r"\multicolumn{3}{l}{\emph{1 shot}} \\",
        r"DAP & \textbf{8.0} & -- \\",
        r"a \& b & 7.9$^\dagger$ & 1.0 \\",
        r"dense & \multicolumn{2}{l}{9.0} \\",
        r"seen & 0.5 & -- \\",
        r"\midrule",
        r"\multicolumn{3}{l}{\emph{5 shots}} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_html() -> None:
    assert render.html(TABLE, "A < B").splitlines() == [
        '<div class="scroll">',
        '<table class="numbers">',
        "<caption>A &lt; B</caption>",
        f'<thead><tr><th scope="col">method</th><th scope="col">5{NBSP}%</th><th scope="col">area</th></tr></thead>',
        "<tbody>",
        '<tr><th scope="row">DAP</th><td class="best">8.0<sup></sup></td><td>–</td></tr>',
        '<tr class="variant"><th scope="row">a &amp; b</th><td>7.9<sup>†</sup></td><td>1.0</td></tr>',
        '<tr class="dense"><th scope="row">dense</th><td>9.0<sup></sup></td><td colspan="1"></td></tr>',
        '<tr class="dense"><th scope="row">seen</th><td>0.5<sup></sup></td><td>–</td></tr>',
        "</tbody>",
        "</table>",
        "</div>",
    ]


def test_levels_stand_without_rows_too() -> None:
    alone = Table(TABLE.columns, [], levels=[["dense", Cell("9.0")]])
    assert '<th scope="row">dense</th><td>9.0</td><td colspan="1"></td>' in render.html(alone)
    assert render.markdown(alone).endswith("\n\nDense: 9.0.")


def test_html_of_words_without_headings() -> None:
    text = render.html(Table([words(""), words("")], [["a", "b"]]), style="provenance")
    assert "thead" not in text and '<th scope="row">a</th><td class="text">b</td>' in text


def test_csv_has_values_only() -> None:
    assert render.csv(TABLE) == f"method,5{NBSP}%,area\nDAP,8.0,\na & b,7.9,1.0\n"
    assert render.csv(Table(TABLE.columns, [])) == "", "without rows there is no file"


def test_a_link_is_one_in_markdown() -> None:
    assert render.markdown_cell(Cell("Small", link="main.md")) == "[Small](main.md)"


def test_escape_latex() -> None:
    assert render.escape_latex("50 % & a_b ± 1") == r"50 \% \& a\_b $\pm$ 1"


TEXTS = st.lists(st.lists(st.text("a|&<>%_\"',"), min_size=2, max_size=2), min_size=1, max_size=3)


@given(TEXTS)
def test_no_text_breaks_a_table(rows: list[list[str]]) -> None:
    table = Table([words("a"), words("b")], rows)
    assert list(csv.reader(io.StringIO(render.csv(table))))[1:] == rows
    for line in render.markdown(table).splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    cells = re.findall(r"<t[hd](?: [^>]*)?>([^<]*)</t[hd]>", render.html(table))[2:]
    assert list(map(unescape, cells)) == [text for row in rows for text in row]
    body = render.latex({"t": table}).splitlines()[5:-2]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [1] * len(rows)
