"""The page in a real browser: what it answers, draws, sorts and gives away, by pointer and by keyboard."""

import csv

import pytest

from benchmark.analysis import read_summary
from benchmark.analysis.leaderboard import leaderboard
from benchmark.report.explore.judged import judged
from benchmark.report.labels import NBSP, label
from benchmark.report.view import View

PLACE = {"granularity": "channel", "target": "digits-5-9", "shots": 5, "weights": "fresh", "budget": 0.05}


@pytest.fixture(scope="module")
def cells(sliced):
    """Return a function: the cells of a slice at a place, dense control and variants left out, best first."""

    def found(name=None, **place):
        view = View(read_summary(sliced.root, "costs", name))
        wanted = PLACE | place
        here = [c for c in judged(view) if all(c[key] == value for key, value in wanted.items()) and not c["variant"]]
        return sorted(here, key=lambda cell: -cell["accuracy"])

    return found


def answered(page):
    rows = page.locator("#answer tbody tr")
    return [
        [rows.nth(r).locator("th").inner_text(), rows.nth(r).locator("td").first.inner_text()]
        for r in range(rows.count())
    ]


def expected(found):
    return [
        [label(cell["method"]), f"{100 * cell['accuracy']:.1f}{NBSP}±{NBSP}{100 * cell['half']:.1f}"]
        for cell in found
        if cell["mark"]
    ]


def choose(page, name, value):
    page.select_option(f"select[name={name}]", value)
    settled(page)


def settled(page):
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 300))")


def drawn(page, plot="#main-plot"):
    return page.locator(f"{plot} svg.marks").evaluate("(svg) => svg.outerHTML")


def test_the_first_screen_answers(opened, cells):
    page = opened()
    assert answered(page) == expected(cells())
    box = page.locator("#answer").bounding_box()
    assert box["y"] + box["height"] < 800, "the answer is on the first screen"
    assert page.locator("#answer .unknown").inner_text().startswith("Not known:")
    assert "Keep" in page.locator("#question").inner_text()


@pytest.mark.parametrize(
    ("control", "value", "changed"),
    [
        ("budget", "0.01", {"budget": 0.01}),
        ("shots", "1", {"shots": 1}),
        ("weights", "inherit", {"weights": "inherit"}),
        ("granularity", "weight", {"granularity": "weight"}),
        ("cost", "macs", {"name": "macs-finetune"}),
        ("measure", "nearest", {"name": "params-nearest"}),
    ],
)
def test_a_control_changes_answer_figure_and_address(opened, cells, control, value, changed):
    page = opened()
    before = drawn(page)
    assert page.evaluate("location.hash") == ""
    choose(page, control, value)
    assert f"{control}={value}" in page.evaluate("location.hash")
    assert answered(page) == expected(cells(**changed))
    assert drawn(page) != before


def test_an_address_is_a_view(opened, cells):
    page = opened("#suite=costs&budget=0.1&weights=scratch&cost=macs&x=macs&off=uniform&front=1&intervals=0")
    assert answered(page) == expected(cells("macs-finetune", budget=0.1, weights="scratch"))
    assert page.input_value("select[name=x]") == "macs"
    assert not page.is_checked("input[value=uniform]") and page.is_checked("input[name=front]")
    assert not page.is_checked("input[name=intervals]")
    page.evaluate("location.hash = '#suite=few&target=kmnist'")
    settled(page)
    assert page.input_value("select[name=suite]") == "few" and page.input_value("select[name=target]") == "kmnist"
    assert "nothing is told apart with 2 search seeds" in page.locator("#answer").inner_text()


def test_an_address_that_asks_for_what_is_not_there_is_put_right(opened, cells):
    page = opened("#suite=none&budget=0.3&x=smell&off=nobody&weights=old")
    assert answered(page) == expected(cells())


def test_switches_change_the_figure_alone(opened, cells):
    page = opened()
    symbols = "#main-plot .mark-symbol path"
    count = page.locator(symbols).count()
    assert count == 4 * 4, "methods x budgets"
    for name, change in (("intervals", False), ("floors", False), ("front", True)):
        before = drawn(page)
        page.set_checked(f"input[name={name}]", change)
        settled(page)
        assert drawn(page) != before, name
    page.uncheck("input[value=uniform]")
    settled(page)
    assert page.locator(symbols).count() == 3 * 4
    page.check("input[name=variants]")
    settled(page)
    assert page.locator(symbols).count() > 3 * 4
    assert answered(page) == expected(cells())


def test_the_detail_opens_on_the_best_point_that_is_shown(opened, cells):
    page = opened()
    first, second = [label(cell["method"]) for cell in cells()[:2]]
    assert page.locator("#detail-name").inner_text() == f"{first} at 5{NBSP}%"
    best = cells()[0]["method"]
    off = opened(f"#off={best}")
    assert off.locator("#detail-name").inner_text() == f"{second} at 5{NBSP}%"
    off.check(f"input[value={best}]")
    settled(off)
    assert off.locator("#detail-name").inner_text() == f"{first} at 5{NBSP}%", "nobody chose the other"


def test_the_method_under_study_is_drawn_on_top_with_an_edge(opened):
    page = opened()
    edges = page.locator("#main-plot .mark-symbol path").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('stroke'))"
    )
    fills = page.locator("#main-plot .mark-symbol path").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('fill'))"
    )
    assert [edge != fill for edge, fill in zip(edges, fills, strict=True)] == [False] * 12 + [True] * 4
    assert page.locator("input[value=dap] + .swatch .stands-out").count() == 1


def test_pointing_at_a_point_shows_its_row_and_layers(opened, cells):
    page = opened()
    (uniform,) = [cell for cell in cells(budget=0.01) if cell["method"] == "uniform"]
    names = page.evaluate("[...document.querySelectorAll('#point option')].map((option) => option.value)")
    point = page.locator("#main-plot .mark-symbol path").nth(names.index("uniform||0.01"))
    before = drawn(page, "#layers-plot")
    point.hover()
    settled(page)
    assert page.locator("#detail-name").inner_text() == f"uniform width at 1{NBSP}%"
    row = page.locator("#detail-row").inner_text()
    assert f"{100 * uniform['accuracy']:.1f}" in row
    assert all(f"{100 * value:.1f}" in row for value in uniform["by_seed"])
    assert drawn(page, "#layers-plot") != before
    assert page.locator("#layers-data tbody tr").count() == 13
    assert page.locator("#vg-tooltip-element").inner_text().startswith("method\t")


def test_everything_is_reached_by_keyboard(opened):
    page = opened()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.id"))
    for name in ("suite", "budget", "weights", "method", "intervals", "x", "point"):
        assert name in reached, name
    page.focus("select[name=budget]")
    page.keyboard.press("ArrowDown")
    settled(page)
    assert "budget=0.01" in page.evaluate("location.hash")
    assert page.evaluate("document.activeElement.name") == "budget", "the control in use keeps the focus"
    page.focus("input[value=dap]")
    page.keyboard.press("Space")
    settled(page)
    assert "off=dap" in page.evaluate("location.hash") and page.evaluate("document.activeElement.value") == "dap"
    before = page.locator("#detail-name").inner_text()
    page.focus("#point")
    page.keyboard.press("ArrowDown")
    settled(page)
    assert page.locator("#detail-name").inner_text() != before


def test_tables_sort_by_number_and_by_word(opened):
    page = opened()
    page.click("#explore >> text=The data of this figure")
    table = page.locator("#main-data table")

    def column(at):
        return table.evaluate(
            "(t, at) => [...t.tBodies[0].rows].map((r) => r.cells[at].dataset.value ?? r.cells[at].innerText)", at
        )

    for at, head in ((3, "accuracy, %"), (7, "parameters")):
        button = page.locator("#main-data th button", has_text=head)
        button.click()
        assert list(map(float, column(at))) == sorted(map(float, column(at)))
        button.press("Enter")
        assert list(map(float, column(at))) == sorted(map(float, column(at)), reverse=True)
        assert table.locator("th").nth(at).get_attribute("aria-sort") == "descending"
    page.locator("#main-data th button", has_text="method").click()
    assert column(0) == sorted(column(0), key=str.lower)
    assert table.locator("th[aria-sort]").count() == 1


def test_tables_of_the_static_part_sort_too(opened):
    page = opened()
    table = page.locator("#costs-headline ~ .scroll table").first
    table.locator("th button").nth(1).click()
    texts = table.evaluate("(t) => [...t.tBodies[0].rows].filter((r) => !r.className).map((r) => r.cells[1].innerText)")
    numbers = [float(text.split(NBSP)[0]) for text in texts if text != "–"]
    assert len(numbers) > 2 and numbers == sorted(numbers)


def test_csv_holds_the_rows(opened, cells):
    page = opened()
    page.click("#explore >> text=The data of this figure")
    with page.expect_download() as download:
        page.locator("#main-data button.csv").click()
    assert download.value.suggested_filename == "costs-params-finetune-channel.csv"
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    for cell in cells():
        (own,) = [r for r in rows if (r["method"], r["variant"], float(r["budget"])) == (cell["method"], "", 0.05)]
        assert float(own["accuracy"]) == pytest.approx(cell["accuracy"], rel=1e-4)
        assert int(own["params"]) == pytest.approx(cell["params"], rel=1e-4)
        assert list(map(float, own["by_seed"].split(";"))) == pytest.approx(cell["by_seed"], rel=1e-4)


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_it_fits_the_window(opened, width):
    page = opened(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#question", "#answer", "#main-plot svg", "#layers-plot svg"):
        box = page.locator(name).first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, name
    letters = float(page.locator("#answer .says").evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)"))
    assert letters >= (24 if width == 1920 else 20)


def test_dark_and_light(opened):
    grounds = []
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        fills = page.locator("#main-plot .mark-symbol path").evaluate_all(
            "(all) => all.map((one) => one.getAttribute('fill'))"
        )
        assert ("#000000" in fills) == (scheme == "light"), "black is not drawn on a dark ground"
    assert grounds[0] == "rgb(255, 255, 255)" != grounds[1]


def test_print_has_everything_but_the_controls(opened):
    page = opened()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.is_visible("#question") and page.is_visible("#answer")
    assert page.is_visible("#costs-verdict p >> nth=0")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.is_visible("#costs-verdict p >> nth=0") and page.is_visible("#question")
    assert len(page.pdf()) > 100_000


def test_without_scripts_the_static_page_is_there(opened):
    page = opened(java_script_enabled=False)
    assert not page.is_visible("#explore")
    assert page.is_visible("noscript p")
    assert page.is_visible("#costs-accuracy img") and page.is_visible("#costs-headline")


def test_a_static_figure_has_its_data_too(opened):
    page = opened()
    part = page.locator("details[data-figure=accuracy][data-suite=costs]")
    part.locator("summary").click()
    part.locator("table").wait_for()
    shots, methods, budgets = 2, 4, 4
    assert part.locator("tbody tr").count() == 2 * shots * (methods * budgets + 1), (
        "two granularities, with the control"
    )
    with page.expect_download() as download:
        part.locator("button.csv").click()
    assert download.value.suggested_filename == "costs-accuracy.csv"


def test_the_leaderboard_is_there_where_seeds_are_enough(opened, seeded):
    page = opened()
    assert not page.is_visible("#board"), "no suite has five seeds"
    page = opened(root=seeded)
    board = leaderboard([read_summary(seeded, "seeded")])
    script = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText))"
    rows = page.locator("#board-data tbody tr").evaluate_all(script)
    here = [record for record in board if record["granularity"] == "channel"]
    assert [row[:2] for row in rows] == [[label(one["method"]), f"{one['rank']:.2f}"] for one in here]
    assert [row[4] for row in rows if row[0] == "uniform width"] == ["–"]
    assert page.locator("#board-plot .mark-symbol path").count() == len(here)
    with page.expect_download() as download:
        page.locator("#board button.csv").click()
    assert "wins_against_uniform" in download.value.path().read_text().splitlines()[0]
