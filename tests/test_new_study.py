"""`himoe study new` as its user meets it: a wristband's files, one command, the next command's stages, a table."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pipeline_helpers import ROOT, no_faces

from himoe.cli import main
from himoe.core.errors import InputError
from himoe.core.params import FilterParams, RunConfig
from himoe.inspection.study import choose_filters, choose_protocol
from himoe.models.batches import Batch
from himoe.prepare.windows import read_shard, write_shard
from himoe.training.model import Model
from himoe.training.prediction import predict_unrated
from himoe.training.rundata import RunData, feature_modalities, load_run_data, run_tasks
from pipeline import study
from pipeline.demo import inside
from pipeline.download import download
from pipeline.evaluate import evaluate
from pipeline.features import features
from pipeline.overlay import read_study
from pipeline.plan import plan
from pipeline.preprocess import preprocess
from pipeline.runs import read_folds, run_config
from pipeline.settings import settings
from pipeline.split import split
from pipeline.study_page import write_page
from pipeline.train import train
from pipeline.unrated import FILE, write_unrated
from pipeline.window import window

PEOPLE = ("anna", "ben", "cleo", "dora")
DESCRIPTION = """name: wrist
title: Wristbands of our group
licence: private
dimensions: [valence, arousal]
scale: [1, 9]
threshold: 5
ratings: ratings.csv
modalities:
  EDA: {file: "{subject}/{trial}_eda.csv", columns: [conductance], sfreq_hz: 4, unit: uS}
  TEMP: {file: "{subject}/{trial}_temp.csv", columns: [celsius], sfreq_hz: 1, unit: degC}
"""


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages run in this process: the workers of an earlier test are still in that test's folder."""
    monkeypatch.setenv("HIMOE_JOBS", "1")


def write_wristbands(root: Path, people: Sequence[str] = PEOPLE, trials: int = 4, unrated: Sequence[str] = (),
                     seconds: int = 24) -> Path:
    """A folder of recordings whose skin conductance follows arousal; *unrated* people have empty cells."""
    rng = np.random.default_rng(3)
    rows: list[tuple[Any, ...]] = []
    for person in people:
        (root / person).mkdir(parents=True)
        for trial in range(trials):
            valence, arousal = rng.uniform(1, 9, 2).round(1)
            for name, column, rate, level in (("eda", "conductance", 4, arousal), ("temp", "celsius", 1, 30 + valence)):
                noise = rng.normal(0, 0.3, seconds * rate)
                pd.DataFrame({column: level + noise}).to_csv(root / person / f"t{trial}_{name}.csv", index=False)
            rated = (np.nan, np.nan) if person in unrated else (valence, arousal)
            rows.append((person, f"t{trial}", f"clip{trial}", *rated))
    (root / "dataset.yaml").write_text(DESCRIPTION, encoding="utf-8")
    pd.DataFrame(rows, columns=["subject", "trial", "stimulus", "valence", "arousal"]).to_csv(root / "ratings.csv",
                                                                                              index=False)
    return root


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def prepare(work: Path, params: dict[str, Any]) -> None:
    """What the study's stages do up to the folds, in this process."""
    study.prepare(ROOT, work, params)
    with inside(work):
        plan("settings/protocols", "settings/filters", "settings/lines.json")
        download("wrist", "data/raw/wrist")
        no_faces(Path(), "wrist")
        preprocess("wrist", "data/raw/wrist", "data/faces/wrist", "settings/filters/wrist.json", "data/signals/wrist",
                   "metrics/facts/wrist.json")
        window("wrist", "data/signals/wrist", "data/windows/wrist")
        features("wrist", "data/windows/wrist", "data/features/wrist")
        split("wrist", "data/windows/wrist", "data/folds/wrist", "settings/protocols/wrist.txt")


@pytest.mark.slow
def test_one_command_and_the_next_one_give_a_table_without_the_paper(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, work = write_wristbands(tmp_path / "wristbands"), tmp_path / "work"
    monkeypatch.chdir(ROOT)
    code, said, err = run(capsys, "study", "new", folder)
    target = tmp_path / "wristbands-study"
    assert (code, err) == (0, "")
    assert said.splitlines()[-1] == f"python -m pipeline.study {target}"
    assert "4 people, 16 rated trials" in said
    assert "EDA is recorded at 4 Hz: its band ends at 1.5 Hz" in said
    found, params = read_study(target / "params.yaml", ROOT)
    assert (found.stages, found.summary, list(params["sets"])) == (("evaluate",), True, ["wrist"])
    assert {run["method"] for run in params["runs"].values()} == {"himoe", "late_fusion", "features_ridge", "mean",
                                                                  "mean_subject"}
    params["profiles"]["embedded"]["training"]["epochs"] = 1  # the rest is as the user would have it
    prepare(work, params)
    with inside(work):
        settings("settings/lines.json", "settings/runs")
        for name in params["runs"]:
            train(name, "data/windows/wrist", "data/features/wrist", "data/folds/wrist/trial.csv", f"runs/{name}",
                  f"settings/runs/{name}.json")
        evaluate("runs", "settings/lines.json", "scores", "metrics/runs", "metrics/comparisons.csv")
    assert write_unrated(work, target, params) == []  # everybody is rated
    assert not (target / FILE).exists()
    shown = write_page(work, target, params)
    page = (target / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# Wristbands of our group (real, local files)\n")
    assert "| Features + ridge (floor) |" in shown
    assert "4 people, 16 rated trials" in page
    assert "paper" not in page.lower()
    assert (target / "predictions.png").is_file()


def test_a_study_is_not_written_over_and_a_folder_without_data_is_named(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    folder = write_wristbands(tmp_path / "wristbands", seconds=8)
    place = tmp_path / "mine"
    assert run(capsys, "study", "new", folder, "--into", place)[0] == 0
    before = (place / "params.yaml").read_bytes()
    code, _, err = run(capsys, "study", "new", folder, "--into", place)
    assert (code, "there already" in err, "--into" in err) == (2, True, True)
    assert (place / "params.yaml").read_bytes() == before
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "study", "new", tmp_path / "empty")
    assert (code, "dataset.yaml" in err) == (2, True)


def test_too_few_trials_are_refused_with_the_reason_and_nothing_is_written(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    folder = write_wristbands(tmp_path / "wristbands", PEOPLE[:2], trials=2, seconds=8)
    code, _, err = run(capsys, "study", "new", folder)
    assert code == 2
    assert all(words in err for words in ("anna has 2 rated", "2 people have rated trials", "3 rated trials"))
    assert not (tmp_path / "wristbands-study").exists()


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(re.sub(old, new, path.read_text(encoding="utf-8"), flags=re.DOTALL), encoding="utf-8")


def shorten(path: Path) -> None:
    """Leave three quarters of a second of a trial's skin conductance, and nothing else of it."""
    pd.read_csv(path)[:3].to_csv(path, index=False)
    path.with_name(path.name.replace("eda", "temp")).unlink()


def shorten_all(root: Path) -> None:
    for path in root.glob("*/*_eda.csv"):
        shorten(path)


def lose_all(root: Path) -> None:
    for path in root.glob("*/*.csv"):
        (pd.read_csv(path) * np.nan).to_csv(path, index=False, na_rep="nan")


@pytest.mark.parametrize(("change", "noted"), [
    (lambda root: edit(root / "ratings.csv", r"anna,t2.*", ""),
     "anna has 2 rated, every person needs 3; people cannot be held out: 1 people have rated trials"),
    (lambda root: edit(root / "dataset.yaml", "name: wrist", "name: my wrist"),
     "name: found 'my wrist', expected letters, digits, _ and - alone"),
    (lose_all, "found no modality with a usable sample, expected one or more"),
    (shorten_all, "found no trial of 1 s, expected one at least"),
], ids=["ratings", "name", "modalities", "lengths"])
def test_check_foresees_what_the_study_refuses(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
        change: Callable[[Path], object], noted: str) -> None:
    monkeypatch.chdir(ROOT)
    folder = write_wristbands(tmp_path / "wristbands", PEOPLE[:2], trials=3, seconds=8)
    change(folder)
    name = "my wrist" if "my wrist" in noted else "wrist"
    code, said, _ = run(capsys, "check", folder, "--dataset", name, "--json")
    (text,) = [one["text"] for one in json.loads(said)["findings"] if noted in one["text"]]
    assert (code, run(capsys, "study", "new", folder)[::2]) == (0, (2, f"himoe study: {text}\n"))


def test_one_short_trial_is_left_out_of_the_study_and_the_rest_goes_on(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    folder, work = write_wristbands(tmp_path / "wristbands", PEOPLE[:2], trials=4, seconds=8), tmp_path / "work"
    shorten(folder / "anna" / "t2_eda.csv")
    code, said, _ = run(capsys, "study", "new", folder)
    assert (code, "2 people, 7 rated trials" in said) == (0, True)
    assert "1 trial shorter than 1 s left out." in said
    params = read_study(tmp_path / "wristbands-study" / "params.yaml", ROOT)[1]
    assert (params["windows"]["length_s"], params["profiles"]["embedded"]["split"]["folds"]) == (4, 3)
    prepare(work, params)
    trials = pd.read_csv(work / "data" / "folds" / "wrist" / "trial.csv")
    assert set(zip(trials["subject"], trials["trial"], strict=True)) == {
        (person, f"t{k}") for person in PEOPLE[:2] for k in range(4)} - {("anna", "t2")}


def test_people_are_held_out_where_one_has_too_few_trials() -> None:
    protocol, notes = choose_protocol(Path("x"), {"anna": 5, "ben": 2, "cleo": 4})
    assert protocol == "loso"
    assert notes == ["Whole trials cannot be held out: ben has 2 rated, every person needs 3."]
    assert choose_protocol(Path("x"), {"anna": 3, "ben": 3})[0] == "trial"
    with pytest.raises(InputError, match="no rated trial"):
        choose_protocol(Path("x"), {})


@pytest.mark.parametrize(("rate_hz", "window_s", "usual", "expected"), [
    (4, 4.0, FilterParams(8, (None, 2)), FilterParams(4, (None, 1.5))),  # docs/your-own-data.md
    (256, 4.0, FilterParams(128, (4, 45)), FilterParams(128, (4, 45))),
    (64, 4.0, FilterParams(128, (4, 45)), FilterParams(64, (4, 24))),
    (51.2, 4.0, FilterParams(128, (4, 20)), FilterParams(51, (4, 20))),
    (32, 4.0, FilterParams(128, (20, 60)), FilterParams(32, (None, 12))),  # nothing is left of the band
    (0.1, 4.0, FilterParams(4, (None, 1)), FilterParams(0.5, (None, 0.0375))),
    (5, 1.0, FilterParams(), FilterParams(4, (None, None))),  # steps of half a second
])
def test_rates_and_bands_are_those_that_the_sensor_can_hold(rate_hz: float, window_s: float, usual: FilterParams,
                                                            expected: FilterParams) -> None:
    chosen, said = choose_filters({"EDA": rate_hz}, {"EDA": usual}, window_s)
    assert (chosen["EDA"].sfreq_hz, chosen["EDA"].band_hz) == (expected.sfreq_hz, pytest.approx(expected.band_hz))
    assert bool(said) == (chosen["EDA"].band_hz[1] != usual.band_hz[1])


def test_changed_and_new_files_are_brought_in_again(tmp_path: Path) -> None:
    folder, work = write_wristbands(tmp_path / "wristbands", PEOPLE[:1], seconds=8), tmp_path / "work"
    raw = work / "data" / "raw" / "wrist"
    params = {"sets": {"wrist": {"source": "local", "path": str(folder)}}}

    def fresh() -> bool:
        study.forget_old_files(work, params)
        there = raw.exists()
        for name in ("dataset.yaml", "ratings.csv", *(f"anna/{path.name}" for path in (folder / "anna").iterdir())):
            (raw / name).parent.mkdir(parents=True, exist_ok=True)
            if not (raw / name).exists():
                os.link(folder / name, raw / name)
        return there

    assert not fresh()
    assert fresh()
    (folder / "ratings.csv").rename(folder / "old.csv")  # as an editor saves
    (folder / "ratings.csv").write_text("subject,trial,stimulus,valence,arousal\nanna,t0,c,1,1\n", encoding="utf-8")
    assert not fresh()
    assert fresh()
    (folder / "anna" / "t9_eda.csv").write_text("conductance\n1\n", encoding="utf-8")
    assert not fresh()


def test_studies_of_one_name_in_two_places_have_working_copies_of_their_own(tmp_path: Path) -> None:
    places = [tmp_path / name / "mine-study" for name in ("a", "b")]
    assert len({study.working_copy(place, ROOT) for place in places}) == 2
    assert study.working_copy(ROOT / "reports" / "real", ROOT) == study.STUDIES / "real"


# --- people without ratings ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("listed", [True, False], ids=["empty cells", "no row"])
def test_people_without_ratings_are_named_kept_for_prediction_and_left_out_of_the_folds(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    monkeypatch.chdir(ROOT)
    folder, work = write_wristbands(tmp_path / "wristbands", trials=3, unrated=["dora"], seconds=8), tmp_path / "work"
    if not listed:
        table = pd.read_csv(folder / "ratings.csv")
        table[table["subject"] != "dora"].to_csv(folder / "ratings.csv", index=False)
    code, said, _ = run(capsys, "check", folder, "--dataset", "wrist")
    assert (code, said.splitlines()[-1]) == (0, "Wristbands of our group: 0 errors, 1 missing, 2 notes")
    assert "EDA: found a rate of 4 Hz, expected more than 4 Hz for its usual band up to 2 Hz; himoe study" in said
    assert "TEMP: found a rate of 1 Hz" in said
    assert "dora is kept for prediction and left out of the folds" in said
    assert "in no fold: dora\n" in run(capsys, "study", "new", folder)[1]
    prepare(work, read_study(tmp_path / "wristbands-study" / "params.yaml", ROOT)[1])
    named = "wrist: without a label, kept for prediction and left out of the folds: dora (3 of 3 trials).\n"
    assert named in capsys.readouterr().out
    assert (work / "data" / "folds" / "wrist" / "unrated.txt").read_text(encoding="utf-8") == named
    for table in ("trial", "loso", "stimulus", "leaky"):
        people = set(pd.read_csv(work / "data" / "folds" / "wrist" / f"{table}.csv")["subject"])
        assert people == {"anna", "ben", "cleo"}
    for name in ("windows", "features"):
        folder = work / "data" / name / "wrist"
        assert sorted(path.stem for path in folder.glob("*.parquet")) == ["anna", "ben", "cleo"]
        assert [path.name for path in (folder / "unrated").iterdir()] == ["dora.parquet"]
        assert read_shard(folder / "unrated" / "dora.parquet")[0]["valence"].isna().all()


def test_single_trials_without_a_rating_are_in_no_fold_either(tmp_path: Path) -> None:
    """Nothing can be trained, validated or scored on them."""
    folder, work = write_wristbands(tmp_path / "wristbands", seconds=8), tmp_path / "work"
    table = pd.read_csv(folder / "ratings.csv")
    table.loc[table["trial"] == "t1", ["valence", "arousal"]] = np.nan
    table.loc[0, "valence"] = np.nan  # rated on arousal alone: that is a label
    table.to_csv(folder / "ratings.csv", index=False)
    main(["study", "new", str(folder)])
    prepare(work, read_study(tmp_path / "wristbands-study" / "params.yaml", ROOT)[1])
    trials = pd.read_csv(work / "data" / "folds" / "wrist" / "trial.csv")
    assert sorted(set(trials["trial"])) == ["t0", "t2", "t3"]
    assert "anna (1 of 4 trials), ben (1 of 4" in (work / "data/folds/wrist/unrated.txt").read_text(encoding="utf-8")


def test_a_set_without_any_rating_is_refused_at_its_windows(tmp_path: Path) -> None:
    folder = write_wristbands(tmp_path / "wristbands", seconds=8)
    main(["study", "new", str(folder)])
    table = pd.read_csv(folder / "ratings.csv")
    table.assign(valence=np.nan, arousal=np.nan).to_csv(folder / "ratings.csv", index=False)
    with pytest.raises(InputError, match=r"labels \(trial\): found no trial that has one"):
        prepare(tmp_path / "work", read_study(tmp_path / "wristbands-study" / "params.yaml", ROOT)[1])
    assert not (tmp_path / "work" / "data" / "windows" / "wrist").exists()


# --- predictions for those without ratings -------------------------------------------------------------------------

RUN = "wrist-himoe"
Trained = tuple[Path, Path, dict[str, Any]]


def train_once(place: Path, protocol: str) -> Trained:
    """A study's Hi-MoE run, trained for an epoch: working copy, target, parameters. dora and anna's t1 are unrated."""
    folder, work = write_wristbands(place / "wristbands", unrated=["dora"]), place / "work"
    table = pd.read_csv(folder / "ratings.csv")
    table.loc[(table["subject"] == "anna") & (table["trial"] == "t1"), ["valence", "arousal"]] = np.nan
    table.to_csv(folder / "ratings.csv", index=False)
    assert main(["study", "new", str(folder)]) == 0
    params = read_study(place / "wristbands-study" / "params.yaml", ROOT)[1]
    params["profiles"]["embedded"]["training"] |= {"epochs": 1, "seeds": [0, 1]}
    params["main"]["protocol"] = protocol
    params["runs"] = {RUN: params["main"]}
    prepare(work, params)
    with inside(work):
        settings("settings/lines.json", "settings/runs")
        train(RUN, "data/windows/wrist", "data/features/wrist", f"data/folds/wrist/{protocol}.csv", f"runs/{RUN}",
              f"settings/runs/{RUN}.json")
        evaluate("runs", "settings/lines.json", "scores", "metrics/runs", "metrics/comparisons.csv")
    return work, place / "wristbands-study", params


def run_of(work: Path) -> tuple[RunConfig, RunData]:
    data = work / "data"
    config, _ = run_config(RUN, data / "windows/wrist", work / f"settings/runs/{RUN}.json")
    folds = read_folds(data / f"folds/wrist/{config.run.protocol}.csv")
    return config, load_run_data(config, data / "windows/wrist", data / "features/wrist", folds, 0.5, work / "maps")


def predicted(work: Path, windows: Path) -> pd.DataFrame:
    config, data = run_of(work)
    return predict_unrated(config, run_tasks(config, data.folds), windows, work / "runs" / RUN, work / "maps")


def by_hand(work: Path, person: str, trial: str, fold: int, seed: int) -> np.ndarray:
    """Predictions (n, D) of one trial by one model: statistics from the shards, no padding.

    Who is known has the statistics of own training rows, who is not those of all own windows, rated or not (a feature's
    spread is everybody's).
    """
    config, data = run_of(work)
    method = Model.read(work / "runs" / RUN / f"fold-{fold:02d}_seed-{seed}").method
    rows = data.folds[(data.folds["fold"] == fold) & (data.folds["role"] == "train")]
    trained, x = set(zip(rows["subject"], rows["trial"], strict=True)), {}
    for modality in config.run.modalities:
        folder = work / "data" / ("features" if modality in feature_modalities(config) else "windows") / "wrist"
        parts: dict[str, np.ndarray] = {}
        whole: dict[str, np.ndarray] = {}
        for path in sorted(folder.glob("*.parquet")):
            index, arrays, _ = read_shard(path, [modality])
            part = arrays[modality][[key in trained for key in zip(index["subject"], index["trial"], strict=True)]]
            parts |= {path.stem: part.astype(float)} if len(part) else {}
            whole[path.stem] = arrays[modality].astype(float)
        index, arrays, _ = read_shard(folder / "unrated" / f"{person}.parquet", [modality])
        known = [whole[person]] if person in whole else []
        mine = parts.get(person, np.concatenate([*known, arrays[modality].astype(float)]))
        mean = np.nanmean(mine, axis=(0, 2))
        own = np.concatenate([part - np.nanmean(part, axis=(0, 2), keepdims=True) for part in parts.values()])
        spread = np.nanstd(own if own.shape[2] == 1 else mine, axis=(0, 2))
        spread = np.where(spread > 1e-8, spread, 1.0)
        windows = arrays[modality][(index["trial"] == trial).to_numpy()]
        scaled = np.nan_to_num(np.clip((windows - mean[:, None]) / spread[:, None], -10, 10))
        x[modality] = torch.from_numpy(scaled[None].astype(np.float32))
    length, n = config.training.sequence_length, len(windows)
    found = []
    for first in range(0, n, length):
        piece = {m: v[:, first:first + length] for m, v in x.items()}
        steps = next(iter(piece.values())).shape[1]
        nobody = torch.tensor([99])
        batch = Batch(piece, torch.ones(1, steps, len(x), dtype=torch.bool), torch.full((1, steps, 2), torch.nan),
                      torch.ones(1, steps, dtype=torch.bool), nobody, nobody)
        with torch.no_grad():
            found.append(method.decode(method.encode(batch), batch).prediction[0].numpy())
    return np.concatenate(found)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["trial", "loso"])
def test_who_has_no_rating_is_predicted_as_by_hand_whatever_the_name(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    """dora is unknown to the models, anna has rated trials too: see :func:`by_hand`."""
    monkeypatch.chdir(ROOT)
    work, target, params = train_once(tmp_path, protocol)
    windows = work / "data/windows/wrist"
    single = predicted(work, windows)
    assert set(zip(single["subject"], single["trial"], strict=True)) == {
        ("anna", "t1"), *(("dora", f"t{trial}") for trial in range(4))}
    models = single[["fold", "seed"]].drop_duplicates()
    assert len(models) == 2 * run_of(work)[1].folds["fold"].nunique()
    for person, trial in (("dora", "t2"), ("anna", "t1")):
        one = single.query("subject == @person and trial == @trial and fold == 1 and seed == 1")
        assert one["dimension"].tolist()[:2] == ["valence", "arousal"]
        found = one["y_pred"].to_numpy().reshape(-1, 2)
        np.testing.assert_allclose(found, by_hand(work, person, trial, 1, 1), rtol=1e-4)

    (sentence,) = write_unrated(work, target, params)
    write_page(work, target, params)
    assert f"\n- {sentence}\n" in (target / "README.md").read_text(encoding="utf-8")
    assert f"run `wrist-himoe`) predicts for the {len(single) // (2 * len(models))} windows" in sentence
    assert "anna (1 of 4 trials), dora (4 of 4 trials)" in sentence
    assert f"its {len(models)} models" in sentence
    table = pd.read_csv(target / FILE)
    assert list(table) == ["subject", "trial", "start_s", "dimension", "y_pred", "y_sd"]
    assert len(table) * len(models) == len(single)
    for row in table.iloc[::17].itertuples():
        values = [float(one["y_pred"]) for one in single.to_dict("records")
                  if (one["subject"], one["trial"], one["start_s"], one["dimension"]) == row[1:5]]
        assert (row.y_pred, row.y_sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)), rel=1e-5)

    numbers = single[single["subject"] == "dora"].drop(columns="subject").reset_index(drop=True)
    for name in ("aaron", "bob", "zoe"):  # before, between and after the names that the models know
        renamed = Path(shutil.copytree(windows, tmp_path / name))
        index, arrays, meta = read_shard(windows / "unrated" / "dora.parquet")
        (renamed / "unrated" / "dora.parquet").unlink()
        write_shard(renamed / "unrated" / f"{name}.parquet", index.assign(subject=name), arrays, meta)
        again = predicted(work, renamed)
        again = again[again["subject"] == name].drop(columns="subject").reset_index(drop=True)
        pd.testing.assert_frame_equal(again, numbers, rtol=1e-6)

    write_unrated(work, target, {**params, "runs": {}})
    assert not (target / FILE).exists(), "a file of an earlier run must not stay"
