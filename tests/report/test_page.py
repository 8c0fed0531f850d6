"""The page and the readme as text: complete, escaped, offline, honest about simulated data, the same every time."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from page_parts import Parts
from report_folders import SETTINGS, finish_reports, write_run

from himoe.core.errors import InputError
from himoe.report import summary
from himoe.report.block import inline
from himoe.report.blocks import BLOCKS
from himoe.report.markup import MAX_ROWS, html_frame, html_table
from himoe.report.page import build_page, build_readme
from himoe.report.tables import Ours, Table
from himoe.scoring.paper import PaperValue


def test_it_is_built_the_same_twice(made: Any) -> None:
    digests = {f"runs/{run}/predictions.parquet": "0" * 64 for run in made.results}
    again = build_page(made.results, made.comparisons, made.tables, made.cost, SETTINGS, {"himoe": "0.1.0"}, digests)
    assert again == made.page
    assert build_readme(made.results, made.comparisons, made.tables, SETTINGS, ["figure2"]) == made.readme


def test_nothing_is_fetched_and_every_anchor_has_its_place(made: Any) -> None:
    links = Parts(made.page)
    assert links.fetched == ["data:,"]
    assert len(links.ids) == len(set(links.ids))
    local = [anchor.removeprefix("#") for anchor in links.anchors if anchor.startswith("#")]
    assert len(local) > len(made.tables) + len(BLOCKS)
    assert set(local) <= set(links.ids)
    assert "default-src 'none'" in made.page
    assert not re.search(r"@import|url\(", made.page[:made.page.index("</style>")])


def test_it_has_every_chart_and_table(made: Any) -> None:
    ids = set(Parts(made.page).ids)
    assert {f"view-{name}" for name in BLOCKS} <= ids
    assert {f"table-{name}" for name in made.tables} <= ids
    assert made.page.index('id="chart-scores"') < made.page.index("<nav")  # the first screen
    specs = json.loads(re.search(r'id="specs">(.*?)</script>', made.page, re.DOTALL)[1])  # type: ignore[index]
    assert set(specs) == {f"chart-{name}" for name in (*BLOCKS, "missing-ranking")}
    assert all(spec["width"] == "container" for spec in specs.values())
    assert len(made.page.encode()) < 3_000_000


def test_simulated_data_is_said_loudly_everywhere(made: Any) -> None:
    for text in (made.page, made.readme):
        assert "SIMULATED DATA: DEAP (simulated), DREAMER (simulated)" in text
    assert made.page.count('<span class="badge">simulated</span>') == 1
    captions = re.findall(r'<p class="caption">(.*?)</p>', made.page, re.DOTALL)
    assert len(captions) == len(BLOCKS)
    assert all("(simulated)" in caption for caption in captions)
    assert made.page.count("(simulated)") < 150  # the badge says it once; titles and captions name the data
    assert "(simulated)" not in "".join(re.findall(r"<tbody>(.*?)</tbody>", made.page, re.DOTALL))
    assert "(simulated)" not in re.search(r'id="specs">(.*?)</script>', made.page, re.DOTALL)[1]  # type: ignore[index]


def test_beside_real_data_every_cell_keeps_the_mark(made: Any) -> None:
    run = made.results["deap-himoe"]
    said = {"simulated": False, "data": "Clinic"}
    real = replace(run, metrics={**run.metrics, **said}, info={**run.info, **said})
    results = {"deap-himoe": real, "deap-mean": made.results["deap-mean"]}
    page = build_page(results, made.comparisons.iloc[:0], {}, made.cost, SETTINGS, {})
    assert "<td>DEAP (simulated)</td>" in page or '<th scope="row">DEAP (simulated)</th>' in page


def test_real_data_has_no_loud_banner(tmp_path: Path) -> None:
    for method in ("himoe", "mean"):
        write_run(tmp_path, f"deap-{method}", method=method, simulated=False)
    results, comparisons, cost = finish_reports(tmp_path, ["deap-himoe", "deap-mean"])
    page = build_page(results, comparisons, {}, cost, SETTINGS, {})
    assert "Real recordings: DEAP." in page
    assert "SIMULATED" not in page
    assert 'class="badge"' not in page
    assert "(simulated)" not in build_readme(results, comparisons, {}, SETTINGS)


def test_a_single_closed_form_run_still_gives_a_page(tmp_path: Path) -> None:
    write_run(tmp_path, "only", method="mean")
    results, comparisons, cost = finish_reports(tmp_path, ["only"])
    page = build_page(results, comparisons, {}, cost, SETTINGS, {})
    assert "No comparisons" in page
    assert 'id="view-training"' not in page


def test_no_runs_is_an_input_error(made: Any) -> None:
    with pytest.raises(InputError, match="no runs"):
        build_page({}, made.comparisons, {}, made.cost, SETTINGS, {})


def test_text_is_escaped(made: Any) -> None:
    nasty = "<script>alert(1)</script>"
    table = Table("bad", nasty, (nasty,), ((nasty,),), (nasty,))
    results = {"deap-mean": made.results["deap-mean"]}
    page = build_page(results, made.comparisons.iloc[:0], {"bad": table}, made.cost, SETTINGS, {nasty: nasty})
    assert nasty not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    frame = pd.DataFrame({"a": ["</script><b>"]})
    assert "</script" in inline(frame, "x").values  # so the page has to escape it, see the next test


def test_a_name_cannot_end_the_script_of_specifications(made: Any) -> None:
    run = made.results["deap-himoe"]
    label = "DEAP </script><b> (simulated)"
    changed = replace(run, metrics={**run.metrics, "data": label}, info={**run.info, "data": label})
    page = build_page({"deap-himoe": changed}, made.comparisons, {}, made.cost, SETTINGS, {})
    json.loads(re.search(r'id="specs">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert "</script><b>" not in page


def test_headline_has_ours_the_papers_and_the_verdict(made: Any) -> None:
    families = summary.headline(made.results, made.comparisons, "DREAMER (simulated), whole trials held out, EEG+PPS")
    sentence, table = families[0]
    assert sentence.startswith("DREAMER (simulated), whole trials held out, EEG+PPS: Hi-MoE has CCC")
    assert len(families) == 15
    rows = {row[0]: row for row in table.rows}
    assert rows["Hi-MoE"][3] == PaperValue(0.9571, False)
    floor = rows["Training mean (floor)"]
    assert floor[3] is None
    at_zero = made.comparisons[made.comparisons["missing_rate"] == 0].set_index("run")
    line = at_zero.loc["dreamer-mean"]
    assert floor[6] == line["verdict"]
    assert floor[4].startswith(f"{line['difference']:+.3f} [")
    counted = sum(int(n) for n in re.findall(r"(?:better than|distinguishable from|worse than) (\d+)", sentence))
    assert counted == len(table.rows) - 1


def test_differences_are_ours_minus_the_papers(made: Any) -> None:
    table = summary.difference_table(made.tables)
    assert len(table.rows) > 10
    for *_, mine, published, difference, data, _ in table.rows:
        assert str(data).endswith("(simulated)")
        assert isinstance(mine, Ours)
        assert isinstance(published, PaperValue)
        assert difference == pytest.approx(mine.mean - published.value, abs=1e-4)


def test_the_readme_points_to_figures_and_tables(made: Any) -> None:
    assert "(figures/figure2.png)" in made.readme
    assert "(index.html)" in made.readme
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', made.readme))
    assert set(re.findall(r"\]\(#([^)]+)\)", made.readme)) <= anchors
    assert set(made.tables) <= anchors
    assert "&#" not in made.readme
    assert "&lt;" not in made.readme


def test_cells_know_what_they_are_sorted_by() -> None:
    table = Table("t", "T", ("a", "b"), ((Ours(0.25, 0.5), "+0.041 [-0.010, 0.093], p = 0.2"), (None, "needs FACE"),
                                         (PaperValue(0.9, True), -3), (Ours(None), math.nan)))
    cells = [cell for row in html_table(table).rows for cell in row]
    assert [(cell.kind, cell.key) for cell in cells] == [
        ("ours", "0.25"), ("text", "+0.041"), ("none", ""), ("text", "needs FACE"), ("paper", "0.9"), ("text", "-3"),
        ("ours", ""), ("text", "")]
    assert (cells[0].text, cells[0].tail) == ("0.250", "± 0.500")


def test_long_frames_are_cut_and_counted() -> None:
    frame = pd.DataFrame({"x": range(MAX_ROWS + 7)})
    table = html_frame(frame, "n", "t")
    assert (len(table.rows), table.cut) == (MAX_ROWS, 7)


def test_the_stage_writes_both_files_with_versions_and_digests(made: Any, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    from himoe.core.files import sha256
    from pipeline import report as stage
    from pipeline import reports

    monkeypatch.setattr(reports, "stage_params", lambda name: {"report": {
        "figure_set": "deap", "baselines": ["late_fusion"]}})
    write_run(tmp_path, "deap-himoe", method="himoe")
    write_run(tmp_path, "deap-late_fusion", method="late_fusion")
    finish_reports(tmp_path, ["deap-himoe", "deap-late_fusion"])
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "figure3.png").write_bytes(b"")
    paths = [str(tmp_path / name) for name in ("runs", "scores", "metrics", "seconds.csv", "index.html", "README.md",
                                               "figures")]
    stage.report(*paths)
    page, readme = ((tmp_path / name).read_text(encoding="utf-8") for name in ("index.html", "README.md"))
    assert sha256(tmp_path / "runs" / "deap-himoe" / "predictions.parquet") in page
    assert sha256(tmp_path / "metrics" / "runs" / "deap-late_fusion.json") in page
    assert "<dt>torch</dt>" in page
    assert "(figures/figure3.png)" in readme
    first = (tmp_path / "index.html").read_bytes()
    shutil.copy(tmp_path / "README.md", tmp_path / "before.md")
    stage.report(*paths)
    assert (tmp_path / "index.html").read_bytes() == first
    assert (tmp_path / "README.md").read_bytes() == (tmp_path / "before.md").read_bytes()
