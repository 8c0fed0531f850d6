"""The worked examples of docs/devices.md, from files of devices to a table of predictions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from device_files import write_brainvision, write_e4, write_physio, write_tsv, write_xdf, xdf_stream
from pipeline_helpers import ROOT, no_faces

from himoe.cli import main
from himoe.prepare.windows import read_shard
from pipeline import study
from pipeline.demo import inside
from pipeline.download import download
from pipeline.features import features
from pipeline.overlay import read_study
from pipeline.plan import plan
from pipeline.preprocess import preprocess
from pipeline.settings import settings
from pipeline.split import split
from pipeline.train import train
from pipeline.window import window

BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "devices.md").read_text(encoding="utf-8"), flags=re.DOTALL)
EXAMPLES = {yaml.safe_load(block)["name"]: block for block in BLOCKS}
PEOPLE, TRIALS, LENGTH_S, PAUSE_S = ("anna", "ben", "cleo"), 3, 8.0, 5.0
BEGINS_S = [PAUSE_S + k * (LENGTH_S + PAUSE_S) for k in range(TRIALS)]
WHOLE_S = BEGINS_S[-1] + LENGTH_S + PAUSE_S


def level(arousal: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """The arousal of the trial at each time, 0 between trials."""
    return sum(value * ((time_s >= begin) & (time_s < begin + LENGTH_S))
               for value, begin in zip(arousal, BEGINS_S, strict=True))


def write_wrist(root: Path, person: str, arousal: np.ndarray, rng: np.random.Generator) -> None:
    folder = write_e4(root / person, WHOLE_S, tags_s=[t for begin in BEGINS_S for t in (begin, begin + LENGTH_S)])
    for name, rate in (("EDA", 4), ("BVP", 64), ("TEMP", 4)):
        head = (folder / f"{name}.csv").read_text().splitlines()[:2]
        time_s = np.arange(round(WHOLE_S * rate)) / rate
        values = {"EDA": level(arousal, time_s), "BVP": 50 * np.sin(2 * np.pi * 1.2 * time_s),
                  "TEMP": 33 + 0 * time_s}[name] + rng.normal(0, 0.1, len(time_s))
        (folder / f"{name}.csv").write_text("\n".join(head + [f"{value:.6f}" for value in values]) + "\n")


def write_lab(root: Path, person: str, arousal: np.ndarray, rng: np.random.Generator) -> None:
    eeg_s, eda_s = 900 + np.arange(round(WHOLE_S * 128)) / 128, 900 + np.arange(round(WHOLE_S * 32)) / 32
    marks = [(900 + begin + after, text) for k, begin in enumerate(BEGINS_S)
             for after, text in ((0, f"clip c{k}"), (LENGTH_S, "clip over"))]
    write_xdf(root / f"{person}.xdf", [
        xdf_stream("amp", "EEG", eeg_s, rng.normal(0, 20, (len(eeg_s), 4)), 128, ["Fp1", "Fp2", "Cz", "Pz"],
                   "microvolts"),
        xdf_stream("skin", "GSR", eda_s, level(arousal, eda_s - 900) + rng.normal(0, 0.1, len(eda_s)), 32),
        xdf_stream("task", "Markers", [t for t, _ in marks], [text for _, text in marks], form="string")])


def write_films(root: Path, person: str, arousal: np.ndarray, rng: np.random.Generator) -> None:
    folder, stem = root / f"sub-{person}" / "eeg", f"sub-{person}_task-film"
    time_s = np.arange(round(WHOLE_S * 32)) / 32
    write_brainvision(folder / f"{stem}_eeg.vhdr", rng.normal(0, 20, (4, round(WHOLE_S * 128))),
                      ["Fp1", "Fp2", "Cz", "Pz"], 128)
    write_physio(folder / f"{stem}_physio.tsv.gz", (level(arousal, time_s) + rng.normal(0, 0.1, len(time_s)))[:, None],
                 ["eda"], 32, 0, about=root / "task-film_physio.json")
    write_tsv(folder / f"{stem}_events.tsv", ["onset", "duration", "trial_type", "stim_file", "valence", "arousal"],
              [(begin - 2, 1, "cross", "n/a", "n/a", "n/a") for begin in BEGINS_S]
              + [(begin, LENGTH_S, "film", f"clip{k}.mp4", 5 + k / 2, arousal[k]) for k, begin in enumerate(BEGINS_S)])
    (root / "dataset_description.json").write_text('{"Name": "Films", "BIDSVersion": "1.9.0"}')


@pytest.mark.parametrize(("name", "write"), [
    ("wrist", write_wrist), pytest.param("lab", write_lab, marks=pytest.mark.quick), ("films", write_films)])
def test_from_files_of_devices_to_a_table_of_predictions(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str,
        write: Callable[[Path, str, np.ndarray, np.random.Generator], None]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HIMOE_JOBS", "1")
    root, work = tmp_path / "recordings", tmp_path / "work"
    root.mkdir()
    rng = np.random.default_rng(8)
    rated = rng.uniform(1, 9, (len(PEOPLE), TRIALS)).round(1)
    for person, arousal in zip(PEOPLE, rated, strict=True):
        write(root, person, arousal, rng)
    rows = [(person, f"c{k}", f"clip{k}", 5.0 + k / 2, arousal[k])
            for person, arousal in zip(PEOPLE, rated, strict=True) for k in range(TRIALS)]
    if name != "films":  # whose ratings stand in its tables of events
        table = pd.DataFrame(rows, columns=["subject", "trial", "stimulus", "valence", "arousal"])
        table.to_csv(root / "ratings.csv", index=False)
    (root / "dataset.yaml").write_text(EXAMPLES[name], encoding="utf-8")
    assert main(["check", str(root), "--dataset", name]) == 0
    assert "0 errors, 0 missing" in capsys.readouterr().out
    assert main(["study", "new", str(root)]) == 0
    assert "3 people, 9 rated trials" in capsys.readouterr().out
    params = read_study(tmp_path / "recordings-study" / "params.yaml", ROOT)[1]
    found = predictions(work, params, name)
    assert len(found) == 2 * len(PEOPLE) * TRIALS * 3  # dimensions, windows of 4 s every 2 s
    arousal = found[found["dimension"] == "arousal"]
    first = 1 if name == "films" else 0  # trials of events count from 1
    for _, row in arousal.iterrows():
        assert row["y_true"] == pytest.approx(rated[PEOPLE.index(row["subject"]), int(row["trial"].strip("c")) - first])
    for k, person in enumerate(PEOPLE):  # each window holds the trial that its label is of
        index, data, _ = read_shard(work / "data" / "windows" / name / f"{person}.parquet", ["EDA"])
        expected = rated[k, index["trial"].str.strip("c").astype(int) - first]
        np.testing.assert_allclose(data["EDA"].mean(axis=(1, 2)), expected, atol=0.15)


def predictions(work: Path, params: dict[str, object], name: str) -> pd.DataFrame:
    """What the study's stages do up to the predictions of one method, in this process."""
    run = f"{name}-features_ridge"
    study.prepare(ROOT, work, params)
    with inside(work):
        plan("settings/protocols", "settings/filters", "settings/lines.json")
        download(name, f"data/raw/{name}")
        no_faces(Path(), name)
        preprocess(name, f"data/raw/{name}", f"data/faces/{name}", f"settings/filters/{name}.json",
                   f"data/signals/{name}", f"metrics/facts/{name}.json")
        window(name, f"data/signals/{name}", f"data/windows/{name}")
        features(name, f"data/windows/{name}", f"data/features/{name}")
        split(name, f"data/windows/{name}", f"data/folds/{name}", f"settings/protocols/{name}.txt")
        settings("settings/lines.json", "settings/runs")
        train(run, f"data/windows/{name}", f"data/features/{name}", f"data/folds/{name}/trial.csv", f"runs/{run}",
              f"settings/runs/{run}.json")
        return pd.read_parquet(next(Path("runs", run).rglob("predictions.parquet")))
