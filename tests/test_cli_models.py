"""Models on the command line: fit, predict, score, explain and demo, from a folder of one's own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pipeline_helpers import environment
from test_docs_commands import blocks_of
from toysets import file_bytes, make_windows

import himoe
from himoe.cli import main, parser
from himoe.cli.modelling import COMMANDS as MODEL_COMMANDS
from himoe.commands import demo
from himoe.commands.fitting import choose_protocol, estimator_of, fit_and_score, said_of_intervals
from himoe.commands.picture import typical_trial
from himoe.commands.validating import validation_share, with_roles
from himoe.prepare.windowset import Windows
from himoe.training.estimators import FeaturesRidge
from pipeline.docs import Block

PEOPLE, TRIALS, LENGTH_S = ("anna", "ben", "cleo", "dora"), 5, 14
DESCRIPTION = """
name: toys
title: Toys of nobody
licence: none
dimensions: [valence, arousal]
scale: [1, 9]
threshold: 5
ratings: ratings.csv
modalities:
  EDA: {file: "{subject}/{trial}_eda.csv", columns: [conductance], sfreq_hz: 8, unit: uS}
  TEMP: {file: "{subject}/{trial}_temp.csv", columns: [skin], sfreq_hz: 4, unit: degC}
"""


def write_recordings(root: Path, people: tuple[str, ...] = PEOPLE, rated: tuple[str, ...] = PEOPLE) -> Path:
    """Trials of 14 s whose skin conductance follows arousal; who is not *rated* has files alone."""
    rng, ratings = np.random.default_rng(0), []
    for subject in people:
        (root / subject).mkdir(parents=True)
        for k in range(TRIALS):
            valence, arousal = rng.uniform(1, 9, 2).round(1)
            eda = 2 + 0.5 * arousal + rng.normal(0, 0.05, LENGTH_S * 8)
            pd.DataFrame({"conductance": eda}).to_csv(root / subject / f"t{k}_eda.csv", index=False)
            temp = pd.DataFrame({"skin": 33 + rng.normal(0, 0.1, LENGTH_S * 4)})
            temp.to_csv(root / subject / f"t{k}_temp.csv", index=False)
            if subject in rated:
                ratings.append((subject, f"t{k}", f"clip{k}", valence, arousal))
    table = pd.DataFrame(ratings, columns=["subject", "trial", "stimulus", "valence", "arousal"])
    table.to_csv(root / "ratings.csv", index=False)
    (root / "dataset.yaml").write_text(DESCRIPTION, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rated people, and eve, who has no rating."""
    return write_recordings(tmp_path_factory.mktemp("toys") / "recordings", (*PEOPLE, "eve"))


@pytest.fixture(scope="module")
def model(recordings: Path) -> Path:
    out = recordings.parent / "model"
    assert main(["fit", str(recordings), "--method", "features_ridge", "--out", str(out)]) == 0
    return out


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_fit_holds_people_out_and_says_so(model: Path, recordings: Path, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "fit", recordings, "--method", "features_ridge", "--out", tmp_path / "again")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:4] == ["Toys of nobody (real, local files): 4 people, 20 rated trials, 120 windows of 4 s every 2 s",
                         "sensors:  EDA at 8 Hz, TEMP at 4 Hz", "not used, without a rating: eve",
                         "held out: 1 of 4 people, 5 of 20 trials"]
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    assert config["people"] == list(PEOPLE)
    assert "1 of 4 people" in config["scores"]["protocol"]
    shown = next(line for line in lines if line.startswith("arousal")).split()[1]
    assert f"{config['scores']['ccc arousal'][0]:.2f}" == shown
    assert config["scores"]["ccc arousal"][0] > 0.5  # conductance follows arousal, and nothing follows valence
    assert "| CCC arousal | 0." in (model / "README.md").read_text(encoding="utf-8")
    assert file_bytes(tmp_path / "again") == file_bytes(model)


@pytest.mark.parametrize(("protocol", "held"), [("loso", {"subject"}), ("trial", {"subject", "trial"})])
def test_the_scored_model_has_not_seen_what_is_held_out(protocol: str, held: set[str],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Windows] = []
    whole = FeaturesRidge.fit

    def noted(self: Any, windows: Windows, *rest: Any, **more: Any) -> Any:
        fitted.append(windows)
        return whole(self, windows, *rest, **more)

    monkeypatch.setattr(FeaturesRidge, "fit", noted)
    windows = make_windows(5, 4, 3)
    outcome = fit_and_score(estimator_of("features_ridge"), windows, protocol, "toys")
    seen, tested = (set(map(tuple, frame[sorted(held)].to_numpy())) for frame in (fitted[0].index, outcome.predictions))
    assert tested
    assert not seen & tested
    assert seen | tested == set(map(tuple, windows.index[sorted(held)].to_numpy()))
    assert len(fitted[1]) == len(windows)


def test_predictions_are_those_of_the_library_and_of_both_formats(model: Path, recordings: Path, tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("p.csv", "p.parquet"):
        code, out, err = run(capsys, "predict", model, recordings, "--drop", "TEMP", "--out", tmp_path / name)
        assert (code, out) == (0, "Toys of nobody (real, local files): 5 people, 25 trials, 150 windows; "
                                  f"written: {tmp_path / name}\n")
        assert "names: anna ben cleo dora." in err  # who was in training is said, and eve was not
    windows = himoe.make_windows(himoe.load(recordings), 4, 2)
    expected = himoe.load_model(model).predict(windows, drop=["TEMP"])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "p.parquet"), expected, check_dtype=False)
    found = pd.read_csv(tmp_path / "p.csv", dtype={"session": str})
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-6)
    assert found[found["subject"] == "eve"]["rating"].isna().all()
    code, out, _ = run(capsys, "predict", model, recordings, "--drop", "TEMP")
    assert (code, out) == (0, (tmp_path / "p.csv").read_text(encoding="utf-8"))


def test_the_grid_of_predictions_is_the_users_choice(model: Path, recordings: Path, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    frames = {}
    for every in ("2", "0.5", "3"):
        code, _, _ = run(capsys, "predict", model, recordings, "--every", every, "--out", tmp_path / "p.parquet")
        assert code == 0
        frames[every] = pd.read_parquet(tmp_path / "p.parquet")
    data, fitted = himoe.load(recordings), himoe.load_model(model)
    own = fitted.predict(himoe.make_windows(data, 4, 2))
    pd.testing.assert_frame_equal(frames["2"], own, check_dtype=False)
    half = frames["0.5"]
    one = half[(half["subject"] == "ben") & (half["trial"] == "t3") & (half["dimension"] == "arousal")]
    assert one["start_s"].tolist() == [k / 2 for k in range(21)]  # windows of 4 s in 14 s
    assert one["window"].tolist() == list(range(21))
    on_grid = half[half["start_s"] % 2 == 0].drop(columns="window").reset_index(drop=True)
    pd.testing.assert_frame_equal(on_grid, own.drop(columns="window"), check_dtype=False)
    fine = himoe.make_windows(data, 4, 0.5)  # the same windows, cut in one go
    later = himoe.make_windows(data, 4, 2, begin_s=1.5)
    same = fine[np.isclose(fine.index["start_s"] % 2, 1.5)]
    for sensor in ("EDA", "TEMP"):
        np.testing.assert_array_equal(later.arrays[sensor], same.arrays[sensor])
    assert sorted(frames["3"]["start_s"].unique()) == [0, 3, 6, 9]
    for every, word in (("0.0005", "milliseconds"), ("0.013", "2000 grids")):
        code, _, err = run(capsys, "predict", model, recordings, "--every", every)
        assert (code, word in err) == (2, True)


def test_somebody_without_the_sensors_does_not_stop_the_others(model: Path, tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    people = write_recordings(tmp_path / "new", ("yan", "zed"), ())
    for path in (people / "zed").glob("*_eda.csv"):
        path.unlink()
    code, _, err = run(capsys, "predict", model, people, "--drop", "TEMP", "--out", tmp_path / "p.csv")
    assert code == 0
    assert set(pd.read_csv(tmp_path / "p.csv")["subject"]) == {"yan"}
    assert err == "subject zed: 5 trials left out, none of EDA was recorded.\n"
    assert main(["predict", str(model), str(people), "--out", str(tmp_path / "both.csv")]) == 0
    assert set(pd.read_csv(tmp_path / "both.csv")["subject"]) == {"yan", "zed"}


def test_score_prints_the_table_of_the_library(model: Path, recordings: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "predict", model, recordings, "--out", tmp_path / "p.parquet")
    code, out, _ = run(capsys, "score", tmp_path / "p.parquet", "--by", "trial")
    scores = himoe.score(pd.read_parquet(tmp_path / "p.parquet"), by="trial")
    assert code == 0
    assert out.split()[:4] == ["CCC", "PCC", "MAE", "inside"]
    for _, row in scores[scores["metric"] == "ccc"].iterrows():
        assert f"{row['dimension']} {row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" in " ".join(out.split())


def test_explain_writes_a_row_for_each_window_and_sensor(model: Path, recordings: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain", model, recordings, "--out", tmp_path / "e.csv")
    frame = pd.read_csv(tmp_path / "e.csv")
    assert code == 0
    assert frame["modality"].value_counts().to_dict() == {"EDA": 150, "TEMP": 150}
    moved = frame["change_arousal"].abs().groupby(frame["modality"]).mean()
    assert moved["EDA"] > 3 * moved["TEMP"]
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["EDA", "TEMP"]


@pytest.mark.parametrize(("level", "widths", "inside", "said"), [
    (0.9, (1.0, 2.0), 0.85, []), (0.9, (1.0, 2.0), 0.43, ["only 43 %"]), (0.8, (1.0, 2.0), 0.71, ["aim at 80 %"]),
    (0.9, (1.0, np.inf), 1.0, ["whole scale"]), (0.875, (1.0, 2.0), 0.5, ["aim at 88 %", "only 50 %"])])
def test_fit_says_what_intervals_cannot_promise(model: Path, level: float, widths: tuple[float, ...], inside: float,
                                                said: list[str]) -> None:
    form = replace(himoe.load_model(model).description, level=level, intervals={"arousal": widths})
    scores = pd.DataFrame({"dimension": ["arousal", "mean"], "metric": "coverage", "value": [0.0, inside]})
    lines = [line for line in said_of_intervals(form, scores, True) if line]
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True))
    told = " ".join(said_of_intervals(form, scores, False))
    assert ("by chance" in told) == (inside < level - 0.1)
    assert "new people" not in told


def test_classes_are_fitted_predicted_and_scored(recordings: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fit", recordings, "--task", "classification", "--method", "features_ridge", "--out",
                       tmp_path / "model")
    assert code == 0
    head = next(line for line in out.splitlines() if "accuracy" in line)
    assert head.split() == ["accuracy", "F1"]
    assert run(capsys, "predict", tmp_path / "model", recordings, "--out", tmp_path / "p.csv")[0] == 0
    frame = pd.read_csv(tmp_path / "p.csv")
    assert {"class", "probability_0", "probability_1"} < set(frame)
    known = frame[frame["rating"].notna() & (frame["dimension"] == "arousal")]
    code, out, _ = run(capsys, "score", tmp_path / "p.csv")
    shown = next(line for line in out.splitlines() if line.startswith("arousal")).split()[1]
    assert shown == f"{(known['class'] == known['rating']).mean():.2f}"


def test_what_does_not_fit_ends_in_one_sentence_and_leaves_nothing(model: Path, recordings: Path, tmp_path: Path,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x", encoding="utf-8")
    pair = write_recordings(tmp_path / "pair", ("anna", "ben"), ("anna", "ben"))
    frame = pd.DataFrame({"subject": ["a"], "trial": ["1"], "window": [0], "dimension": ["valence"],
                          "predicted": [2.0], "rating": [np.nan]})
    frame.to_csv(tmp_path / "unrated.csv", index=False)
    frame.drop(columns="rating").to_csv(tmp_path / "other.csv", index=False)
    before = file_bytes(tmp_path)
    out = tmp_path / "new"
    for arguments, sentence in (
            (("fit", recordings, "--out", tmp_path / "mine"), "mine: found something that is no model"),
            (("fit", recordings, "--method", "himo", "--out", out), "--method: found 'himo', expected one of himoe, "),
            (("fit", recordings, "--modalities", "EEG", "--out", out), "modalities 'EEG'"),
            (("fit", recordings, "--dataset", "toy", "--out", out), "dataset.yaml: name: found 'toys', expected 'toy'"),
            (("fit", tmp_path / "mine", "--out", out), "mine: found no data set"),
            (("fit", tmp_path / "absent", "--out", out), "absent: found no such folder"),
            (("fit", pair, "--protocol", "loso", "--out", out), "2 people with a rated trial, expected 3 or more"),
            (("fit", recordings, "--window", "20", "--out", out), "no trial of 20 s"),
            (("predict", recordings, recordings, "--out", tmp_path / "p.csv"), "no config.json"),
            (("predict", model, recordings, "--out", tmp_path / "p.xls"), "the ending '.xls', expected .csv"),
            (("predict", model, recordings, "--out", tmp_path / "unrated.csv" / "p.csv"), "cannot be written"),
            (("predict", model, recordings, "--drop", "EEG"), "modalities 'EEG'"),
            (("predict", model, recordings, "--drop", "EDA+TEMP"), "drop: found every modality of the model"),
            (("score", tmp_path / "unrated.csv"), "column 'rating': found no rating"),
            (("score", tmp_path / "other.csv"), "rating"),
            (("score", tmp_path / "absent.csv"), "absent.csv"),
            (("demo", "--out", tmp_path / "mine"), "mine: found something that is there already")):
        code, printed, err = run(capsys, *arguments)
        assert (code, printed, err.count("\n")) == (2, "", 1), (arguments, err)
        assert err.startswith(f"himoe {arguments[0]}: ")
        assert sentence in err
    assert file_bytes(tmp_path) == before


def test_every_example_can_be_typed_and_torch_waits() -> None:
    made = parser()
    commands = next(action for action in made._actions if action.dest == "command").choices
    assert isinstance(commands, dict)
    assert set(MODEL_COMMANDS) < set(commands)
    for name, command in commands.items():
        words = shlex.split(command.format_help().splitlines()[-1])
        assert words[:2] == ["himoe", name]
        assert made.parse_args(words[1:]).command == name
    text = ("import sys, himoe.cli\nfrom contextlib import suppress\n"
            "with suppress(SystemExit): himoe.cli.main(['fit', '--help'])\n"
            "print({'torch', 'sklearn', 'matplotlib', 'scipy', 'pandas', 'numpy'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", text], env=environment(), text=True, capture_output=True, check=True,
                          timeout=600, cwd=Path(himoe.__file__).parents[1])
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(("people", "trials", "share"), [(12, 4, 0.15), (5, 10, 0.15), (5, 8, 0.2), (3, 10, 0.3),
                                                         (3, 4, 0.15)])
def test_enough_trials_validate_for_an_interval_where_there_are_enough(people: int, trials: int, share: float) -> None:
    assert validation_share(make_windows(people, trials, 3)) == share


def test_whole_people_validate_where_everybody_has_one_trial() -> None:
    windows = with_roles(make_windows(7, 1, 3))
    assert windows.role is not None
    assert set(windows.groups[windows.role == "validation"]).isdisjoint(windows.groups[windows.role == "train"])
    assert set(windows.role) == {"train", "validation"}
    assert with_roles(make_windows(2, 3, 3)).role is None


def test_what_is_held_out_follows_what_there_is() -> None:
    assert choose_protocol(make_windows(3, 2, 3), None, "toys") == ("loso", 3)
    assert choose_protocol(make_windows(9, 2, 3), None, "toys") == ("loso", 5)
    assert choose_protocol(make_windows(2, 3, 3), None, "toys") == ("trial", 3)
    with pytest.raises(himoe.InputError, match=r"toys: found s0\d with 2 rated, expected 3 rated trials of every"):
        choose_protocol(make_windows(9, 2, 3), "trial", "toys")


def test_the_trial_that_is_drawn_has_the_middle_error() -> None:
    frame = pd.DataFrame({"subject": "a", "trial": ["x", "y", "z"], "dimension": "valence", "rating": 5.0,
                          "predicted": [5.5, 9.0, 4.0]})
    assert typical_trial(frame) == ("a", "z")


def of_the_page(test: str) -> Block:
    """The block of docs/models.md that names *test*."""
    return next(block for block in blocks_of("docs/models.md") if block.what.endswith(f"::{test}"))


def test_the_python_of_the_page_runs_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    write_recordings(tmp_path / "recordings")
    monkeypatch.chdir(tmp_path)
    exec(of_the_page("test_the_python_of_the_page_runs_as_typed").text, {})
    assert "ccc" in capsys.readouterr().out
    assert (tmp_path / "ridge-model" / "README.md").is_file()


def test_a_small_demo_leaves_recordings_predictions_a_picture_and_a_model(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "SIZE", replace(demo.SIZE, subjects=3, trials=2))
    monkeypatch.setattr(demo, "estimator_of", lambda method: estimator_of("features_ridge"))
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert capsys.readouterr().out.startswith("DEAP (simulated): 3 people")
    out = tmp_path / "himoe-demo"
    assert (out / "predictions.png").read_bytes().startswith(b"\x89PNG")
    assert himoe.load_model(out / "model").description.data["simulated"] is True
    held_out = pd.read_csv(out / "predictions.csv")
    assert len(set(held_out["subject"])) == 1
    assert np.isfinite(held_out["predicted"]).all()
    found = {path.name: file_bytes(path) for path in out.iterdir() if path.is_dir()}
    assert main(["demo"]) == 2
    assert "something that is there already" in capsys.readouterr().err
    assert {path.name: file_bytes(path) for path in out.iterdir() if path.is_dir()} == found


@pytest.mark.nightly
def test_the_demo_draws_a_picture_outside_the_repository(tmp_path: Path) -> None:
    root = str(Path(himoe.__file__).parents[1])
    [typed] = of_the_page("test_the_demo_draws_a_picture_outside_the_repository").commands
    command = [sys.executable, "-m", "himoe.cli", *shlex.split(typed)[1:]]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=300, check=False,
                          env=environment() | {"PYTHONPATH": root})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DEAP (simulated): 7 people")
    assert (tmp_path / "himoe-demo" / "predictions.png").read_bytes().startswith(b"\x89PNG")
    model = himoe.load_model(tmp_path / "himoe-demo" / "model")
    assert model.description.data["simulated"] is True
    assert model.description.scores["ccc mean"][0] > 0.2
    assert str(tmp_path) not in (tmp_path / "himoe-demo" / "model" / "config.json").read_text(encoding="utf-8")
