"""The example pages, run as they stand: what they print is what they say."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest
from pipeline_helpers import ROOT

from himoe.models import methods
from pipeline.docs import blocks
from pipeline.docs_python import EXAMPLE, run_example

PAGES = sorted((ROOT / "docs" / "examples").glob("*.md"))
NUMBER = re.compile(r"-?\d+\.\d+")
NIGHTLY = {"missing-sensors", "new-person"}  # they fit several models
TOLERANCE = 0.15  # another processor rounds otherwise, and training amplifies it


def said(page: str) -> str:
    return "".join(f"--- {block.text}" for _, block in blocks(page) if block.language == "text")


@pytest.mark.slow
@pytest.mark.parametrize("page", [pytest.param(path.stem, marks=[pytest.mark.nightly] * (path.stem in NIGHTLY))
                                  for path in PAGES])
def test_an_example_prints_what_stands_on_its_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_FROM_ELSEWHERE", {})  # a method that a page registers ends with it
    path = ROOT / "docs" / "examples" / f"{page}.md"
    text = path.read_text(encoding="utf-8")
    made = run_example(path.name, text, tmp_path)
    assert "simulated" in text
    assert re.sub(" +", " ", NUMBER.sub("#", said(made))) == re.sub(" +", " ", NUMBER.sub("#", said(text)))
    found, expected = ([float(number) for number in NUMBER.findall(said(one))] for one in (made, text))
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_every_block_of_an_example_is_run() -> None:
    assert len(PAGES) == 5
    kinds = {(block.language, block.what) for path in PAGES for _, block in blocks(path.read_text(encoding="utf-8"))}
    assert kinds == {("python", EXAMPLE), ("text", "")}


def test_blocks_share_a_namespace_and_what_they_print_is_pasted(tmp_path: Path) -> None:
    page = ("Words.\n\n<!-- run: example -->\n```python\na = 1\n```\n\n<!-- run: example -->\n```python\n"
            "open('here', 'w').close()\nprint(a + 1)\n```\n\n```text\nold\n```\n\nMore.\n")
    assert run_example("p.md", page, tmp_path) == page.replace("old", "2")
    assert (tmp_path / "here").is_file()
    with pytest.raises(ZeroDivisionError) as caught:
        run_example("p.md", page.replace("a + 1", "a / 0"), tmp_path)
    where = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (where.filename, where.lineno) == ("p.md", 11)
