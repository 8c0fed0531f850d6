"""The page that DVC's plots fill: Vega inside, DVC's placeholders open, nothing from the web."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc_render.html import render_html
from dvc_render.vega import VegaRenderer
from pipeline_helpers import ROOT

from pipeline.plots_page import PAGE, plots_page


def test_the_committed_page_is_what_the_code_writes() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == plots_page()


def test_each_placeholder_stands_once_and_none_asks_for_scripts() -> None:
    page = plots_page()
    assert [page.count(name) for name in ("{plot_divs}", "{refresh_tag}", "{scripts}")] == [1, 1, 0]
    assert page.count("</script>") == 1
    assert " src=" not in page[:page.index("<script>")]


@pytest.mark.slow
def test_dvc_fills_it_and_it_draws_without_a_network(browser: Any, asked_for: Callable[[Any], list[str]],
                                                     tmp_path: Path) -> None:
    points = [{"epoch": k, "loss": 1 / (k + 1), "rev": "workspace"} for k in range(7)]
    out = tmp_path / "index.html"
    render_html([VegaRenderer(points, "history", x="epoch", y="loss", template="linear")], out, str(ROOT / PAGE))
    asked_for(browser)
    browser.get_log("browser")
    browser.get(out.as_uri())
    end = time.monotonic() + 15
    while not browser.find_elements("css selector", ".vega-embed .marks"):
        assert time.monotonic() < end, "no chart"
        time.sleep(0.1)
    assert {url.split(":")[0] for url in asked_for(browser)} <= {"file", "data"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    width = browser.execute_script(
        "return Math.max(...[...document.querySelectorAll('.vega-embed .marks')]"
        ".map(e => e.getBoundingClientRect().width))")
    assert width > 200
