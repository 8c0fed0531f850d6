"""The site: what it holds, that it is built without a warning, and that it needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_helpers import ROOT, environment

import himoe
from pipeline import site

INSTALL = 'pip install -e ".[docs]"'
ELSEWHERE = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>|"
                       r"(?:url\(|@import )[\"']?(?:https?:)?//\S+")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    for name in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(name, reason=f"{name} is not installed: {INSTALL}")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)], cwd=ROOT, text=True,
                          capture_output=True, timeout=300, check=False,
                          env=environment() | {"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr  # strict mode ends with an error, unless somebody switches it off
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
             for path in tmp_path.rglob("*.html")}
    docs = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert docs | {"index.html"} <= set(pages)
    names = {f"himoe.{module}.{name}" for name, module in himoe.PUBLIC.items()}
    library = "".join(text for name, text in pages.items() if name.startswith("api/"))
    assert {name for name in names if f'id="{name}"' not in library} == set()
    assert re.findall(r":\w+:<code>.*?</code>", library) == []
    styles = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css")}
    assert {name: ELSEWHERE.findall(text) for name, text in {**pages, **styles}.items() if ELSEWHERE.search(text)} == {}
    assert (tmp_path / "reports" / "figures" / "overview.png").is_file()


def test_pages_lead_to_what_the_site_holds(tmp_path: Path) -> None:
    for name, text in {"README.md": "[a](docs/a.md#x) [r](r/README.md) [w](https://a.b/c.md) [up](../up.md)",
                       "docs/a.md": "[home](../README.md) ![p](p.png) [page](index.html) [folder](../r)",
                       "r/README.md": "[t](t.csv) [gone](gone.csv) [here](#x)", "r/t.csv": "", "docs/p.png": "",
                       "docs/index.html": "", "other.md": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path.parent / "up.md").write_text("", encoding="utf-8")
    assert site.reached(tmp_path) == ["README.md", "docs/a.md", "r/README.md", "docs/p.png", "r/t.csv"]
    texts = {name: site.without_dead_links((tmp_path / name).read_text(encoding="utf-8"), tmp_path, name)
             for name in ("README.md", "docs/a.md", "r/README.md")}
    assert texts == {"README.md": "[a](docs/a.md#x) [r](r/README.md) [w](https://a.b/c.md) up",
                     "docs/a.md": "[home](../README.md) ![p](p.png) page folder",
                     "r/README.md": "[t](t.csv) gone [here](#x)"}


def test_every_page_of_docs_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"[\w./-]+\.md", navigation)
    assert sorted(listed) == sorted(dict.fromkeys(listed))
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} == {
        name for name in listed if name.startswith("docs/")}
    assert {name for name in listed if name.startswith("api/")} == {name for name, _ in site.library_pages()}
    assert [name for name in listed if not name.startswith("api/") and not (ROOT / name).is_file()] == []


def test_every_public_name_stands_on_one_page_of_the_library() -> None:
    text = "".join(text for _, text in site.library_pages())
    names = re.findall(r"^::: (\S+)$", text, re.M)
    assert sorted(names) == sorted(["himoe.training.estimators.Estimator", *(
        f"himoe.{module}.{name}" for name, module in himoe.PUBLIC.items())])
