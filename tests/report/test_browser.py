"""The page in headless Chromium: it draws, sorts, toggles, fits and prints, without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from himoe.core.recordings import DIMENSIONS

pytestmark = pytest.mark.slow
Opened = Callable[[int], Any]
VIEW = "document.getElementById('{chart}').view"


def rows(chrome: Any, chart: str, data: str) -> list[dict[str, Any]]:
    """The rows of one data stream of a chart's view, after its filters."""
    return chrome.execute_async_script(
        f"const done = arguments[0]; const view = {VIEW.format(chart=chart)};"
        f"view.runAsync().then(() => done(JSON.parse(JSON.stringify(view.data('{data}')))))")


def texts(chrome: Any, table: str, column: int) -> list[str]:
    return chrome.execute_script(
        "return [...document.getElementById(arguments[0]).tBodies[0].rows].map(r => r.cells[arguments[1]].textContent)",
        table, column)


def bar_names(chrome: Any) -> list[str]:
    """The names down the ranking's side, top first."""
    return chrome.execute_script(
        "return [...document.querySelectorAll('#chart-missing-ranking .role-axis-label text')]"
        ".filter(t => isNaN(Number(t.textContent.replace('\u2212', '-'))))"
        ".map(t => [t.getBoundingClientRect().top, t.textContent]).sort((a, b) => a[0] - b[0]).map(p => p[1])")


def choose(chrome: Any, selector: str, value: Any) -> None:
    """Set a picker as a reader would, with its event."""
    chrome.execute_async_script(
        "const done = arguments[2], e = document.querySelector(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true})); setTimeout(done, 200);", selector, value)


WIDE = ("return [...document.querySelectorAll('.scroll')].filter(b => b.clientWidth && b.scrollWidth > b.clientWidth)"
        ".map(b => b.getAttribute('aria-label'))")
SHOWN = ("return [...document.querySelectorAll('#table-scores thead th')].filter(h => !h.hidden)"
         ".map(h => h.textContent)")
NAMES = ("return [...document.querySelectorAll(arguments[0] + ' .role-mark.mark-text text')].map(t => [t.textContent,"
         " t.getBoundingClientRect()]).map(([text, b]) => [text, b.left, b.right, b.top, b.bottom])")
SCORES = ("return document.querySelector('#chart-scores .mark-symbol path').getAttribute('d')"
          "+ document.querySelector('#chart-scores .mark-text').innerHTML")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_it_opens_clean_and_everything_fits(opened: Opened, asked_for: Callable[[Any], list[str]], width: int,
                                            height: int) -> None:
    chrome = opened(width)
    assert [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert {url.split(":")[0] for url in asked_for(chrome)} <= {"file", "data"}
    assert chrome.execute_script("return document.scrollingElement.scrollWidth <= window.innerWidth")
    charts = chrome.execute_script(
        "return [...document.querySelectorAll('.chart')].map(c => { const s = c.querySelector('svg'),"
        " b = s && s.getBoundingClientRect(), marks = '.mark-symbol path, .mark-rect path, .mark-line path';"
        " return [c.id, b ? b.width : 0, b ? b.height : 0, c.querySelectorAll(marks).length]; })")
    assert len(charts) == 11
    assert [name for name, w, h, marks in charts if not (100 < w <= width and h > 60 and marks > 2)] == []
    out = chrome.execute_script(  # nothing but the inside of a scroll box reaches over the edge
        "return [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, #vg-tooltip-element')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className)")
    assert out == []
    check_first_screen(chrome, width, height)
    check_names_in_charts(chrome, width)
    check_tables(chrome)
    if width == 390:  # a row whose race has no column names it
        assert "EEG" in chrome.execute_script("return document.querySelector('#table-scores tbody th').dataset.where")


def check_first_screen(chrome: Any, width: int, height: int) -> None:
    """Badge, sentence and first chart stand on it, and the chart follows its picker."""
    boxes = chrome.execute_script(
        "return ['.badge', '.sentence', '#chart-scores svg'].map(s => document.querySelector(s))"
        ".map(e => e.getBoundingClientRect()).map(b => [b.left, b.right, b.bottom])")
    assert all(left >= 0 and right <= width and bottom <= height for left, right, bottom in boxes)
    names = chrome.execute_script(
        "return [...document.querySelectorAll('#chart-scores .role-axis-label text')].map(t => t.textContent)")
    assert [name for name in names if "floor" in name]
    before = chrome.execute_script(SCORES)
    choose(chrome, "#view-scores select[data-signal=measure]", '"within-trial CCC"')
    assert before != chrome.execute_script(SCORES)


def check_names_in_charts(chrome: Any, width: int) -> None:
    """Names beside points and lines stand apart and inside."""
    measures = chrome.execute_script("return [...document.querySelectorAll('#view-cost option')].map(o => o.value)")
    assert len(measures) == 3
    for measure in measures:
        choose(chrome, "#view-cost select", measure)
        names = chrome.execute_script(NAMES, "#chart-cost")
        assert len(names) >= 5
        assert covered(names) == []
    lines = chrome.execute_script(NAMES, "#chart-missing")
    assert covered(lines) == []
    assert len(lines) == (len(bar_names(chrome)) if width > 700 else 0)  # where there is no room, the legend names them
    assert all(left >= 0 and right <= width for _, left, right, *_ in lines)


def covered(names: list[list[Any]]) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes overlap by more than a pixel."""
    return [(one[0], other[0]) for i, one in enumerate(names) for other in names[i + 1:]
            if min(one[2], other[2]) - max(one[1], other[1]) > 1 and min(one[4], other[4]) - max(one[3], other[3]) > 1]


def check_tables(chrome: Any) -> None:
    """Tables are as wide as the page; a button shows the other columns, beside a first one that stays."""
    chrome.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    chrome.execute_async_script("setTimeout(arguments[0], 300)")
    assert chrome.execute_script(WIDE) == []
    few = chrome.execute_script(SHOWN)
    assert few[0] == "Method"
    assert "CCC" in few
    button = chrome.find_element("css selector", ".scroll:has(#table-scores) + button.more")
    assert button.get_attribute("aria-expanded") == "false"
    chrome.execute_script("arguments[0].click()", button)
    assert len(chrome.execute_script(SHOWN)) > len(few)
    assert button.get_attribute("aria-expanded") == "true"
    assert chrome.execute_script("return document.scrollingElement.scrollWidth <= window.innerWidth")
    stays = chrome.execute_script(
        "const box = document.getElementById('table-scores').closest('.scroll'), cell = box.querySelector('tbody th');"
        "const before = cell.getBoundingClientRect().left; box.scrollLeft = 200;"
        "return [before, cell.getBoundingClientRect().left, box.scrollLeft]")
    assert stays[0] == stays[1]
    assert stays[2] > 0
    chrome.execute_script("arguments[0].click()", button)
    assert chrome.execute_script(SHOWN) == few


def test_tables_sort_by_number_both_ways_and_from_the_keyboard(opened: Opened) -> None:
    chrome = opened(1280)
    top = chrome.execute_script(
        "const rows = document.getElementById('table-scores').tBodies[0].rows;"
        "rows[rows.length - 1].scrollIntoView({block: 'center', behavior: 'instant'});"
        "return document.querySelector('#table-scores thead th').getBoundingClientRect().top")
    assert -1 <= top <= 1  # heads stay in view while the page scrolls
    head = chrome.find_elements("css selector", "#table-scores th button")
    column = [h.text.strip() for h in head].index("CCC")
    before = texts(chrome, "table-scores", column)
    states = []
    for sign in (-1, 1):  # the first click brings the largest to the top
        chrome.execute_script("arguments[0].click()", head[column])
        cells = texts(chrome, "table-scores", column)
        values = [float(cell.split()[0]) for cell in cells if cell not in ("—", "undefined")]
        assert len(values) > 20
        assert values == sorted(values, key=lambda v, s=sign: s * v)
        assert all(cell in ("—", "undefined") for cell in cells[len(values):])
        assert sorted(cells) == sorted(before)
        states.append(chrome.execute_script("return arguments[0].closest('th').getAttribute('aria-sort')",
                                            head[column]))
    assert states == ["descending", "ascending"]
    head = chrome.find_elements("css selector", "#table-cost th button")
    column = next(i for i, h in enumerate(head) if "ultiply" in h.text)
    chrome.execute_script("arguments[0].focus()", head[column])
    head[column].send_keys("\ue007")  # Enter
    keys = chrome.execute_script(
        "return [...document.getElementById('table-cost').tBodies[0].rows]"
        ".map(r => r.cells[arguments[0]].dataset.key ?? r.cells[arguments[0]].textContent)", column)
    values = [float(key) for key in keys if key]
    assert len({len(str(int(value))) for value in values}) > 1  # by digits the order would be another one
    assert values == sorted(values, reverse=True)


def test_the_legend_and_the_rate_picker_change_lines_and_ranking(opened: Opened, made: Any) -> None:
    chrome = opened(1280)
    button = chrome.find_element("css selector", "#view-missing .legend button[data-method='late_fusion']")
    assert "Late Fusion (2017)" in bar_names(chrome)
    lines = "return document.querySelectorAll('#chart-missing .mark-line path').length"
    before = chrome.execute_script(lines)
    chrome.execute_script("arguments[0].click()", button)
    chrome.execute_async_script("setTimeout(arguments[0], 300)")
    assert "Late Fusion (2017)" not in bar_names(chrome)
    assert chrome.execute_script(lines) == before - 1
    assert button.get_attribute("aria-pressed") == "false"
    chrome.execute_script("arguments[0].click()", button)
    chrome.execute_async_script("setTimeout(arguments[0], 300)")
    assert "Late Fusion (2017)" in bar_names(chrome)
    assert chrome.execute_script(lines) == before
    picker = "#view-missing input[type=range]"
    rates = [float(v) for v in chrome.find_element("css selector", picker).get_attribute("data-values").split()]
    last = len(rates) - 1
    choose(chrome, picker, last)
    assert float(chrome.find_element("css selector", "#view-missing output").text) == rates[last]
    expected = {}  # recomputed from the sweep
    for run in made.results.values():
        m = run.metrics
        if (m["set"], m["protocol"], m["task"], m["modality_set"], m["variant"], m["shuffled_labels"]) == (
                "deap", "trial", "regression", "EEG+PPS", "", False):
            sweep = run.part("sweep")
            here = sweep[(sweep["metric"] == "ccc") & (sweep["dimension"] == "mean")
                         & ((sweep["missing_rate"] - rates[last]).abs() < 1e-9)]
            expected[run.named] = here["value"].mean()
    names = bar_names(chrome)
    assert sorted(names) == sorted(expected)
    assert [expected[name] for name in names] == sorted(expected.values(), reverse=True)
    named = [name[0] for name in sorted(chrome.execute_script(NAMES, "#chart-missing"), key=lambda name: name[3])]
    assert named == names  # at the highest rate, where the lines end, they are named in the ranking's order


def test_a_trajectory_follows_its_pickers_and_tells_under_the_pointer(opened: Opened) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    chrome = opened(1280)
    path = "return document.querySelector('#chart-trajectories .mark-line path').getAttribute('d')"
    seen = [chrome.execute_script(path)]
    choose(chrome, "#view-trajectories select[data-signal=dimension]", f'"{DIMENSIONS[3]}"')
    seen.append(chrome.execute_script(path))
    values = chrome.execute_script(
        "return [...document.querySelector('#view-trajectories select[data-signal=trial]').options].map(o => o.value)")
    assert len(values) == 18
    choose(chrome, "#view-trajectories select[data-signal=trial]", values[-1])
    seen.append(chrome.execute_script(path))
    assert len(set(seen)) == 3
    chart = chrome.find_element("css selector", "#chart-trajectories svg")
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chart)
    for step in (0, 6):
        ActionChains(chrome).move_to_element_with_offset(chart, step, step).pause(0.3).perform()
    tip = chrome.find_element("id", "vg-tooltip-element")
    assert "visible" in tip.get_attribute("class")
    assert all(word in tip.text for word in ("time (s)", "truth", "Hi-MoE", "Late Fusion", "Features + GBDT"))
    text = chrome.execute_script("return tip({method: 'A <b>', low: null, high: 'null', CCC: '0.4'},"
                                 " text => text.replace('<', '&lt;'))")
    assert "null" not in text  # what is not known is left out
    assert "A &lt;b>" in text
    assert "0.4" in text


BROKEN = """
const found = new Set();
for (const cell of document.querySelectorAll("table:not(.digests) :is(th, td)")) {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  for (let node; cell.offsetParent && (node = walk.nextNode());)
    for (const word of node.data.matchAll(/[\\p{L}\\d.]+/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) found.add(word[0]);
    }
}
return [...found];"""  # words and numbers of the tables that stand on more than one line


def test_it_prints_without_controls_and_within_the_paper(opened: Opened) -> None:
    chrome = opened(1040)  # A4 on its side, less margins, at 96 pixels an inch
    chrome.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        hidden = chrome.execute_script(
            "return [...document.querySelectorAll('.pickers input, nav, details.numbers')]"
            ".every(e => getComputedStyle(e).display === 'none')"
            " && [...document.querySelectorAll('.pickers select')]"  # what was picked stays, as text
            ".every(e => getComputedStyle(e).appearance === 'none' && getComputedStyle(e).borderTopWidth === '0px')")
        wide = chrome.execute_script(
            "return [...document.querySelectorAll('table')].filter(t => t.offsetParent && "
            "t.getBoundingClientRect().right > innerWidth + 1).map(t => t.id)")
        opened_all = chrome.execute_script(
            "return [...document.querySelectorAll('details.open-in-print')].every(d => d.open)")
        broken = chrome.execute_script(BROKEN)
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert hidden
    assert broken == []
    assert wide == []
    assert opened_all
