"""The stage ``quality`` and its page: complete, escaped, offline, honest about simulated data, the same twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_parts import Parts

from himoe.core.errors import InputError
from himoe.core.files import write_json
from himoe.core.recordings import Recording, Session, Signal, Trial
from himoe.prepare.quality import COLUMNS, SubjectQuality, write_quality
from himoe.prepare.windows import ShardMeta, write_shard
from himoe.report import quality as page
from himoe.report.quality_pictures import set_figure
from pipeline.quality import quality

SETS = {"toy": ("Toy & Co (simulated)", True), "clinic": ("Clinic", False)}
NASTY = "<b>c0</b>"
RATES_HZ = {"EEG": 160.0, "EDA": 8.0}


def gathered(subject: str, seed: int) -> SubjectQuality:
    """A session of 24 s with a flat EEG channel, a gap, and an example."""
    rng = np.random.default_rng(seed)
    eeg = rng.standard_normal((5, 3840)) + 4 * np.sin(2 * np.pi * 50 * np.arange(3840) / 160)
    eeg[seed % 5] = 7.0
    eda = rng.standard_normal((1, 192)).cumsum()[np.newaxis]
    eda[0, :48] = np.nan
    names = (NASTY, "c1", "c2", "c3", "c4")
    signals = {"EEG": Signal(eeg.astype(np.float32), 160.0, names, "uV"),
               "EDA": Signal(eda.astype(np.float32), 8.0, ("GSR",), "uS")}
    session = Session(subject, signals, (Trial("1", "film", 2.0, 20.0, {}),))
    cut = {modality: signal.cut(2.0, 20.0) for modality, signal in signals.items()}
    found = SubjectQuality(subject)
    found.add(session)
    found.example(session, [Recording(subject, "1", "film", 20.0, cut)])
    return found


def write_windows(path: Path, subject: str, seed: int) -> None:
    """A shard of nine windows, a third of them without EDA."""
    modalities = {m: {"channels": ["a", "b"], "samples": 3, "sfreq_hz": rate, "unit": "x"}
                  for m, rate in {**RATES_HZ, "FACE": 2.0}.items()}
    meta = ShardMeta("toy", {}, modalities, ("valence",), (1.0, 9.0), (5.0,), 4.0, 2.0, "trial")
    index = pd.DataFrame({"subject": subject, "completeness_EEG": np.ones(9),
                          "completeness_EDA": np.arange(9) % 3 > 0, "completeness_FACE": np.linspace(0, 1, 9)})
    index = index.astype({f"completeness_{m}": np.float32 for m in modalities})
    write_shard(path, index, {m: np.full((9, 2, 3), float(seed), dtype=np.float32) for m in modalities}, meta)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signals and windows of two sets, two people each, and parameters."""
    root = tmp_path_factory.mktemp("quality")
    (root / "params.yaml").write_text(
        "windows: {length_s: 4.0, step_s: 2.0, labels: auto, min_completeness: 0.5}\n", encoding="utf-8")
    (root / "dvc.yaml").write_text("stages:\n  quality:\n    params: [windows]\n", encoding="utf-8")
    for k, (name, (label, simulated)) in enumerate(SETS.items()):
        folder = root / "signals" / name
        write_json(folder / "set.json", {"set": name, "provenance": {"label": label, "simulated": simulated}})
        write_quality(folder, [gathered(subject, 2 * k + j) for j, subject in enumerate(("s1", "s2"))])
        for j, subject in enumerate(("s1", "s2")):
            write_windows(root / "windows" / name / f"{subject}.parquet", subject, j)
    return root


def run(project: Path, out: str, jobs: str) -> Path:
    """Run the stage in *project*; the folder it wrote into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("HIMOE_JOBS", jobs)
        quality("signals", "windows", f"{out}/quality.csv", f"{out}/quality.html", f"{out}/quality")
    return project / out


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    return run(project, "first", "1")


@pytest.fixture(scope="module")
def text(built: Path) -> str:
    return (built / "quality.html").read_text(encoding="utf-8")


def test_the_same_bytes_from_another_number_of_processes(project: Path, built: Path) -> None:
    again = run(project, "second", "2")
    files = sorted(path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file())
    assert files == ["quality.csv", "quality.html", "quality/clinic.png", "quality/clinic.svg", "quality/toy.png",
                     "quality/toy.svg"]
    assert [name for name in files if (built / name).read_bytes() != (again / name).read_bytes()] == []


def test_the_table_holds_every_subject_and_modality(built: Path) -> None:
    table = pd.read_csv(built / "quality.csv")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 2 * 3
    assert table["set"].tolist() == ["clinic"] * 6 + ["toy"] * 6
    assert set(table.loc[table["set"] == "toy", "data"]) == {"Toy & Co (simulated)"}
    eeg = table[table["modality"] == "EEG"]
    assert eeg["flat_channels"].tolist() == [0.2] * 4
    assert eeg["bad_channels"].tolist() == [0.2] * 4
    assert eeg["line_hz"].tolist() == [50.0] * 4
    assert (eeg["line_noise_db"] > 10).all()
    eda = table[table["modality"] == "EDA"]
    assert eda["usable_windows"].round(4).tolist() == [0.6667] * 4
    assert eda["missing_samples"].tolist() == [0.25] * 4
    assert table.loc[table["modality"] == "FACE", "missing_samples"].tolist() == [0.5] * 4


def test_the_page_says_simulated_loudly_and_only_where_it_is(text: str) -> None:
    assert "SIMULATED DATA: Toy &amp; Co (simulated)." in text
    assert "Real recordings: Clinic." in text
    captions = re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", text, re.DOTALL)
    assert len(captions) == 4
    assert [("(simulated)" in caption) for caption in captions] == [False, False, True, True]


def test_the_page_fetches_nothing_and_its_ids_are_unique(text: str) -> None:
    tags = Parts(text)
    assert len(tags.ids) == len(set(tags.ids))
    assert [link for link in tags.fetched if not link.startswith(("#", "data:,"))] == []
    assert {link.removeprefix("#") for link in [*tags.anchors, *tags.fetched] if link.startswith("#")} <= set(tags.ids)
    assert [link for link in tags.anchors if not link.startswith("#")] == ["index.html"]
    assert "://" not in text[:text.index("<script")]
    assert tags.tags.count("svg") == 8


def test_names_are_escaped(text: str) -> None:
    assert NASTY not in text
    assert "&lt;b&gt;c0&lt;/b&gt;" in text


def test_severity_has_a_sign_and_a_word(text: str) -> None:
    cells = re.findall(r'<td class="number (look|bad)"[^>]*>(.*?)</td>', text)
    assert {level for level, _ in cells} == {"look", "bad"}
    assert all(page.LEVELS[level] in body and page.WORDS[level] in body for level, body in cells)
    assert "s1 EEG: flat channels 20.0 %" in text


@pytest.mark.parametrize("column,value,expected", [
    ("usable_windows", 1.0, ""), ("usable_windows", 0.94, "look"), ("usable_windows", 0.49, "bad"),
    ("missing_samples", 0.05, ""), ("missing_samples", 0.06, "look"), ("missing_samples", 0.3, "bad"),
    ("flat_channels", 0.0, ""), ("bad_channels", 0.4, "look"), ("bad_channels", 0.41, "bad"),
    ("line_noise_db", 21.0, "bad"), ("line_noise_db", float("nan"), ""), ("usable_windows", float("nan"), ""),
])
def test_severity_by_column(column: str, value: float, expected: str) -> None:
    assert page.severity(column, value) == expected


def test_numbers_are_printed_without_reaching_a_whole_they_are_not() -> None:
    found = [page.value_text("usable_windows", value) for value in (0.0, 0.00042, 0.5, 0.99999, 1.0, float("nan"))]
    assert found == ["0 %", "0.042 %", "50.0 %", "99.9 %", "100 %", "—"]
    assert page.value_text("line_noise_db", -3.04) == "−3.0"


def test_only_real_data_has_no_loud_banner() -> None:
    rows = pd.DataFrame(columns=list(COLUMNS))
    assert "imulated" not in page.banner([page.SetQuality("a", "Clinic", False, rows, ())])
    with pytest.raises(InputError, match="no data set"):
        page.build_quality_page([], 0.5)


def test_the_figure_shows_a_signal_that_was_lost() -> None:
    signal = Signal(np.full((1, 100), np.nan, dtype=np.float32), 10.0, ("GSR",), "uS")
    session = Session("s1", {"EDA": signal}, (Trial("1", "film", 0.0, 10.0, {}),))
    found = SubjectQuality("s1")
    found.example(session, [Recording("s1", "1", "film", 10.0, {})])
    assert found.examples is not None
    figure = set_figure(found.examples, "Toy (simulated)")
    assert "Toy (simulated)" in figure.texts[0].get_text()
    assert len(figure.axes) == 2  # nothing after filtering
    assert [item.get_text() for item in figure.axes[0].texts] == ["nothing recorded"]


@pytest.mark.parametrize("name,match", [("toy/quality.json", r"quality\.json"), ("toy/set.json", "simulated")])
def test_what_is_missing_or_contradicts_itself_is_refused(project: Path, tmp_path: Path, name: str, match: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("first", "second"))
    shutil.rmtree(copy / "signals" / "clinic")
    (copy / "signals" / name).unlink()
    if name.endswith("set.json"):
        write_json(copy / "signals" / name, {"provenance": {"label": "Toy", "simulated": True}})
    with pytest.raises(InputError, match=match):
        run(copy, "out", "1")
    assert not (copy / "out").exists() or list((copy / "out").iterdir()) == []


# --- in a browser -----------------------------------------------------------------------------------------------


@pytest.fixture
def shown(browser: Any, built: Path) -> Iterator[Callable[[int], Any]]:
    """Open the page at a width in pixels."""
    def open_at(width: int) -> Any:
        browser.get_log("browser")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
        browser.get((built / "quality.html").as_uri())
        return browser

    yield open_at
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


CONTRAST = """
const parse = text => text.match(/[\\d.]+/g).map(Number), light = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
return [...document.querySelectorAll('td, th, p, dt, dd, figcaption, .pictures text')].map(e => {
  const s = getComputedStyle(e), a = light(parse(e.closest('svg') ? s.fill : s.color)), b = light(behind(e));
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); }).reduce((x, y) => Math.min(x, y));
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_sorts_stands_out_and_prints_whole(shown: Callable[[int], Any], width: int) -> None:
    chrome = shown(width)
    assert [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert chrome.execute_script("return document.scrollingElement.scrollWidth <= window.innerWidth")
    out = chrome.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)")
    assert out == []
    sizes = chrome.execute_script("return [...document.querySelectorAll('.pictures svg')].map(e => e.clientWidth)")
    assert len(sizes) == 8
    assert min(sizes) > 300
    head = next(item for item in chrome.find_elements("css selector", "#table-quality-toy th button")
                if "Missing" in item.get_attribute("textContent"))
    chrome.execute_script("arguments[0].click()", head)
    cells = chrome.execute_script(
        "return [...document.querySelector('#table-quality-toy').tBodies[0].rows].map(r => r.cells[3].dataset.key)")
    assert [float(cell) for cell in cells] == [0.5, 0.5, 0.25, 0.25, 0.0, 0.0]
    for look in ("light", "dark"):
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "media": "", "features": [{"name": "prefers-color-scheme", "value": look}]})
        assert chrome.execute_script(CONTRAST) >= 4.5  # WCAG 2.2, success criterion 1.4.3
    chrome = shown(1040)  # A4 on its side
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    wide = chrome.execute_script("return [...document.querySelectorAll('table, svg')]"
                                 ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).length")
    cut = chrome.execute_script("return [...document.querySelectorAll('.scroll')]"
                                ".filter(e => e.scrollHeight > e.clientHeight + 1).length")
    assert (wide, cut) == (0, 0)
