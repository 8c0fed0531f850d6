"""A model to take along: the library's example as typed, strangers, copies, and what is refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pipeline_helpers import environment
from test_docs_commands import library_example
from toysets import make_windows

import himoe
from himoe.core.checksums import SUMS, write_sums
from himoe.core.params import FilterParams
from himoe.prepare.windowset import Windows
from himoe.simulate.generate import simulate_deap
from himoe.simulate.request import SimulationParams

EXAMPLE = """
import numpy as np, mne
raw = mne.io.RawArray(1e-5 * np.random.default_rng(0).normal(size=(32, 20 * 256)), mne.create_info(
    data.dataset.modalities["EEG"].names, 256, "eeg"), verbose="error")
raw_eda = mne.io.RawArray(np.full((1, 20 * 16), 2e-6), mne.create_info(["GSR"], 16, "gsr"), verbose="error")
"""


@pytest.fixture(scope="module")
def people() -> Windows:
    """Four people, eight trials each, whose names sort as s00 < s01 < s02 < s03."""
    return make_windows(4, 8, 5)


@pytest.fixture(scope="module")
def model(people: Windows) -> himoe.Fitted:
    return himoe.HiMoE(epochs=2, sequence_length=4).fit(people.people("s00", "s01", "s02")).model_


def renamed(windows: Windows, **names: str) -> Windows:
    index = windows.index.assign(subject=windows.index["subject"].replace(names))
    return Windows(index, windows.arrays, windows.meta)


@pytest.mark.slow
def test_the_example_runs_as_typed_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """README's example, on a small simulated DEAP, in a process that starts outside the repository."""
    simulate_deap(tmp_path / "data/raw/deap", SimulationParams(3, 4, 5, 2.0), layout="dat")
    text = library_example()
    before, after = text.split("mine = ")
    assert "himoe.load(" in before
    (tmp_path / "example.py").write_text(f"{before}{EXAMPLE}mine = {after}", encoding="utf-8")
    root = str(Path(himoe.__file__).parents[1])
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, text=True, capture_output=True, timeout=900,
                          env=environment() | {"PYTHONPATH": root}, check=False)
    assert done.returncode == 0, done.stderr
    assert "ccc" in done.stdout
    assert (tmp_path / "deap-himoe" / "README.md").is_file()


@pytest.mark.parametrize("name", ["a", "s01b", "z"])
def test_a_stranger_is_predicted_the_same_wherever_the_name_sorts(model: himoe.Fitted, people: Windows,
                                                                  name: str) -> None:
    stranger = people.people("s03")
    expected = model.predict(stranger)
    found = model.predict(renamed(stranger, s03=name))
    np.testing.assert_array_equal(found["predicted"], expected["predicted"])
    both = model.predict(renamed(people, s03=name))
    np.testing.assert_allclose(both[both["subject"] == name]["predicted"], expected["predicted"], rtol=1e-5)


def test_a_known_name_of_another_set_is_a_stranger(model: himoe.Fitted, people: Windows) -> None:
    known = people.people("s01")
    other = Windows(known.index, known.arrays, replace(known.meta, set="other"))
    assert not np.allclose(model.predict(known)["predicted"], model.predict(other)["predicted"])
    np.testing.assert_array_equal(model.predict(other)["predicted"],
                                  model.predict(renamed(other, s01="nobody"))["predicted"])


def test_a_copy_predicts_the_same_to_the_bit(model: himoe.Fitted, people: Windows, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    saved = model.save(tmp_path / "one")
    shutil.copytree(saved, tmp_path / "elsewhere" / "two")
    (tmp_path / "params.yaml").write_text("profile: none\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for folder in (saved, tmp_path / "elsewhere" / "two"):
        loaded = himoe.load_model(folder)
        pd.testing.assert_frame_equal(loaded.predict(people), model.predict(people), check_exact=True)
        assert loaded.description == himoe.load_model(saved).description


def test_channels_are_found_by_name_and_absent_sensors_are_missing(model: himoe.Fitted, people: Windows) -> None:
    stranger = people.people("s03")
    entry = dict(stranger.meta.modalities["EEG"], channels=[*stranger.meta.modalities["EEG"]["channels"]][::-1])
    turned = Windows(stranger.index, {**stranger.arrays, "EEG": stranger.arrays["EEG"][:, ::-1]},
                     replace(stranger.meta, modalities={**stranger.meta.modalities, "EEG": entry}))
    np.testing.assert_allclose(model.predict(turned)["predicted"], model.predict(stranger)["predicted"], rtol=1e-5)
    alone = Windows(stranger.index, {"EDA": stranger.arrays["EDA"]}, stranger.meta)
    np.testing.assert_array_equal(model.predict(alone)["predicted"], model.predict(stranger, drop=["EEG"])["predicted"])


def test_intervals_hold_the_prediction_and_grow_with_what_is_missing(model: himoe.Fitted, people: Windows) -> None:
    frame, less = model.predict(people), model.predict(people, drop=["EDA"])
    assert (frame["low"] <= frame["predicted"]).all()
    assert (frame["predicted"] <= frame["high"]).all()
    assert frame["low"].min() >= 1.0
    assert frame["high"].max() <= 9.0
    for widths in model.description.intervals.values():
        assert list(widths) == sorted(widths)
    assert (less["high"] - less["low"]).mean() >= (frame["high"] - frame["low"]).mean()


def test_scikit_learn_clones_and_validates_it(people: Windows) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import GroupKFold, cross_val_score

    model = himoe.FeaturesRidge(random_state=3, min_completeness=0.25)
    assert clone(model).get_params() == model.get_params()
    scores = cross_val_score(model, people, groups=people.groups, cv=GroupKFold(4), error_score="raise")
    assert scores.shape == (4,)
    assert np.isfinite(scores).all()
    assert scores.mean() > 0.3  # the toys' effect is strong
    assert clone(himoe.HiMoE(modality_experts=2)).get_params()["modality_experts"] == 2


def test_what_a_sensor_changes_is_the_prediction_without_it(model: himoe.Fitted, people: Windows) -> None:
    stranger = people.people("s03")
    said = model.explain(stranger)
    eda = said[said["modality"] == "EDA"].set_index(["trial", "window"])["change_arousal"]
    both, without = (frame[frame["dimension"] == "arousal"].set_index(["trial", "window"])["predicted"]
                     for frame in (model.predict(stranger), model.predict(stranger, drop=["EDA"])))
    np.testing.assert_allclose(eda.sort_index(), (both - without).sort_index(), atol=1e-5)
    weights = said.groupby(["trial", "window"])["weight"].sum()
    np.testing.assert_allclose(weights, 1.0, rtol=1e-5)


@pytest.mark.parametrize(("change", "message"), [
    (lambda c: c.update(format=99), "format: found 99, expected 1"),
    (lambda c: c.update(method="himo"), "method: found 'himo'"),
    (lambda c: c["model"].update(features=16), "weights.safetensors: found .*size mismatch"),
    (lambda c: c["model"].update(emotion_experts=0), "weights.safetensors: found .*Unexpected key"),
    (lambda c: c.pop("scale"), "no key 'scale'"),
    (lambda c: c.update(surprise=1), "unknown key 'surprise'"),
    (lambda c: c["modalities"].pop("EDA"), "normaliser in weights.safetensors"),
])
def test_a_description_that_does_not_fit_is_one_sentence(model: himoe.Fitted, tmp_path: Path, change: object,
                                                         message: str) -> None:
    folder = model.save(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(config)  # type: ignore[operator]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(himoe.InputError, match=r"config\.json: found bytes that are not those"):
        himoe.load_model(folder)
    write_sums(folder)
    with pytest.raises(himoe.InputError, match=message) as caught:
        himoe.load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_flipped_bytes_of_a_model_are_found(model: himoe.Fitted, tmp_path: Path, name: str) -> None:
    folder = model.save(tmp_path / "m")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(himoe.InputError, match=f"{name}: found bytes"):
        himoe.load_model(folder)
    (folder / SUMS).unlink()
    (folder / name).unlink()
    with pytest.raises(himoe.InputError, match=name):
        himoe.load_model(folder)


def test_windows_of_another_form_are_refused(model: himoe.Fitted, people: Windows) -> None:
    meta = people.meta
    slow = Windows(people.index, people.arrays, replace(meta, step_s=1.0))
    with pytest.raises(himoe.InputError, match="windows: step_s: found 1 s, expected 2 s"):
        model.predict(slow)
    entry = {**meta.modalities["EEG"], "channels": ["A", "B", "C"]}
    named = replace(meta, modalities={**meta.modalities, "EEG": entry})
    with pytest.raises(himoe.InputError, match="windows: EEG: channels: found A B C"):
        model.predict(Windows(people.index, people.arrays, named))
    with pytest.raises(himoe.InputError, match="drop: found 'HR'"):
        model.predict(people, drop=["HR"])


@pytest.mark.parametrize(("options", "message"), [
    ({"epochs": 0}, r"^HiMoE: epochs: found 0, expected a whole number of 1 or more"),
    ({"epochs": 2.0}, "HiMoE: epochs: found 2.0, expected a whole number"), ({"device": "tpu"}, "HiMoE: device: found"),
    ({"task": "ranking"}, "HiMoE: task: found 'ranking', expected regression or classification"),
    ({"model": {"featurs": 8}}, "HiMoE: model: found the unknown key 'featurs', expected one of .*features"),
    ({"modality_experts": 0}, "HiMoE: model.modality_experts: found 0"),
    ({"alignment": {"temperature": np.float32(0)}}, "HiMoE: alignment.temperature: found 0.0, expected a number above"),
])
def test_an_estimator_with_impossible_options_says_so(people: Windows, options: dict, message: str) -> None:
    with pytest.raises(himoe.InputError, match=message):
        himoe.HiMoE(**options).fit(people)


def test_options_may_be_numbers_of_numpy(people: Windows) -> None:
    """As a grid of a search gives them."""
    model = himoe.HiMoE(epochs=np.int64(3), learning_rate=np.float32(0.25), model={"features": np.int8(5)})
    config = model._config(people)
    assert (config.training.epochs, config.training.learning_rate, config.model.features) == (3, 0.25, 5)


def test_an_interval_without_an_end_is_kept(model: himoe.Fitted, tmp_path: Path) -> None:
    intervals = dict.fromkeys(model.description.dimensions, (1.5, math.inf))
    endless = replace(model, description=replace(model.description, intervals=intervals))
    assert himoe.load_model(endless.save(tmp_path / "m")).description.intervals == intervals


def test_import_costs_nothing() -> None:
    text = "import sys, himoe; print(sorted({'torch', 'pandas', 'numpy', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONPATH": str(Path(himoe.__file__).parents[1])})
    assert done.stdout.strip() == "[]"


def test_a_cache_gives_who_is_asked_for_and_is_not_taken_for_windows_of_another_cut(tmp_path: Path) -> None:
    simulate_deap(tmp_path / "raw", SimulationParams(2, 2, 5, 2.0), layout="dat")
    data = himoe.load("deap", tmp_path / "raw")
    made = himoe.make_windows(data, cache=tmp_path / "cache", modalities=["EDA", "TEMP"])
    again = himoe.make_windows(data, cache=tmp_path / "cache", modalities=["EDA", "TEMP"])
    pd.testing.assert_frame_equal(made.index, again.index)
    np.testing.assert_array_equal(made.arrays["EDA"], again.arrays["EDA"])
    one = himoe.make_windows(data, subjects=data.subjects[1:], cache=tmp_path / "cache", modalities=["EDA", "TEMP"])
    assert set(one.groups) == {data.subjects[1]}
    np.testing.assert_array_equal(one.arrays["EDA"], made.arrays["EDA"][made.groups == data.subjects[1]])
    with pytest.raises(himoe.InputError, match="found windows of 4 s every 2 s, expected 2 s every 1 s"):
        himoe.make_windows(data, 2, 1, cache=tmp_path / "cache")
    with pytest.raises(himoe.InputError, match="found other filters"):
        himoe.make_windows(data, cache=tmp_path / "cache", filters={"EDA": FilterParams(4, (None, 1))})


def test_another_unit_is_refused(model: himoe.Fitted, people: Windows) -> None:
    entry = {**people.meta.modalities["EDA"], "unit": "ohm"}
    meta = replace(people.meta, modalities={**people.meta.modalities, "EDA": entry})
    with pytest.raises(himoe.InputError, match=r"windows: EDA: unit: found ohm, expected a\.u\."):
        model.predict(Windows(people.index, people.arrays, meta))
