"""A fitted network as one file: it answers as the model does, under masks and in batches of any size, or is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toysets import make_windows

import himoe
from himoe.models.batches import Assembler, Batch
from himoe.prepare.windowset import Windows
from himoe.training.calibration import Calibration
from himoe.training.exporting import INSTALL
from himoe.training.inference import EncodedFold, encode_rows

FRONTS = {"himoe": {"context": "kernel"}, "late_fusion": {"context": "none"}, "tacoformer": {"signal_encoder": "cnn"}}
ESTIMATORS = {"himoe": himoe.HiMoE, "late_fusion": himoe.LateFusion, "tacoformer": himoe.TACOFormer}


@pytest.fixture(scope="module")
def people() -> Windows:
    return make_windows(3, 7, 5)


@pytest.fixture
def runtime() -> Any:
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed: {INSTALL}")
    return pytest.importorskip("onnxruntime", reason=f"onnxruntime is not installed: {INSTALL}")


def fitted(windows: Windows, method: str = "himoe", **settings: Any) -> himoe.Fitted:
    return ESTIMATORS[method](epochs=1, sequence_length=4, model=FRONTS[method], **settings).fit(windows).model_


def sequences(model: himoe.Fitted, windows: Windows, length: int = 4) -> tuple[EncodedFold, Assembler, np.ndarray]:
    """The windows' codes in sequences of *length*, what makes batches, and a mask (n, M) with every combination."""
    _, assembler, present = model.encode(windows)
    kept = present & (np.random.default_rng(3).random(present.shape) < 0.6)
    assert len(np.unique(kept, axis=0)) == 2 ** kept.shape[1]  # nothing present is among them
    return encode_rows(model.method, assembler, np.flatnonzero(present.any(1)), length), assembler, kept


def feed(batch: Batch, present: torch.Tensor) -> dict[str, np.ndarray]:
    """The file's inputs, with NaN in every window that is absent."""
    there = {name: present[..., m, None, None] for m, name in enumerate(batch.x)}
    return {**{name: torch.where(there[name], x, float("nan")).numpy() for name, x in batch.x.items()},
            "present": present.numpy()}


def answers(session: Any, encoded: EncodedFold, assembler: Assembler, kept: np.ndarray) -> np.ndarray:
    """What the file answers, in the order of the encoded windows."""
    found = []
    for place in encoded.places:
        [prediction] = session.run(None, feed(assembler.batch(place), encoded.mask(kept, place)))
        found.append(prediction.reshape(-1, prediction.shape[-1])[place.reshape(-1) >= 0])
    return np.concatenate(found)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(FRONTS))
def test_an_onnx_file_answers_as_the_model_does_under_masks(runtime: Any, people: Windows, method: str,
                                                            tmp_path: Path) -> None:
    model = fitted(people.people("s00", "s01"), method)
    session = runtime.InferenceSession(str(model.export(tmp_path / "new" / f"{method}.onnx")))
    assert [file.name for file in (tmp_path / "new").iterdir()] == [f"{method}.onnx"]
    assert [entry.name for entry in session.get_inputs()] == ["EEG", "EDA", "present"]
    for length in (4, 3) if method == "himoe" else (4,):
        encoded, assembler, kept = sequences(model, people, length)
        assert len({len(place) for place in encoded.places}) > 1  # batches of several sizes
        whole = encoded.predict(assembler.present)
        np.testing.assert_allclose(answers(session, encoded, assembler, assembler.present), whole, atol=1e-4)
        expected = encoded.predict(kept)
        np.testing.assert_allclose(answers(session, encoded, assembler, kept), expected, atol=1e-4)
        assert np.abs(expected - whole).max() > 0.01
    said = json.loads(session.get_modelmeta().custom_metadata_map["himoe"])
    assert (said["steps"], said["dimensions"]) == (None if method == "himoe" else 4, ["valence", "arousal"])
    assert said["data"] == "Toy (simulated)"
    reads = model.description.shapes["EEG"]
    assert len(said["inputs"]["EEG"]["reads"]) == len(said["inputs"]["EEG"]["mean"]) == reads.channels


@pytest.mark.slow
def test_a_program_of_torch_answers_as_the_model_does(people: Windows, tmp_path: Path) -> None:
    """No other package needed; with learned lags."""
    windows = people
    model = fitted(windows.people("s00", "s01"), alignment={"max_lag_s": 4.0})
    program = torch.export.load(model.export(tmp_path / "model.pt2")).module()
    encoded, assembler, kept = sequences(model, windows)
    for place, output in zip(encoded.places, encoded.outputs(kept), strict=True):
        inputs = feed(assembler.batch(place), encoded.mask(kept, place)).values()
        torch.testing.assert_close(program(*map(torch.from_numpy, inputs)), output.prediction, atol=1e-4, rtol=0)


def test_what_cannot_be_exported_is_one_sentence(people: Windows, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    ridge = himoe.FeaturesRidge().fit(people.people("s00", "s01")).model_
    personal = replace(ridge, description=replace(ridge.description, method="himoe", model=replace(
        ridge.description.model, person_map=True)))
    line = Calibration("s02", "toy", (5.0, 5.0), (0.0, 0.5), (1.0, 1.0))
    tuned = replace(ridge, description=replace(ridge.description, method="cafnet", calibrations=(line,),
                                               people=(*ridge.description.people, "s02")))
    network = replace(ridge, description=replace(ridge.description, method="late_fusion"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for model, name, message in [
            (ridge, "m.onnx", "features_ridge: found a method fitted in closed form, .* one of bilstm, cafnet"),
            (network, "m.tflite", r"found the suffix '.tflite', expected .onnx or .pt2"),
            (tuned, "m.pt2", "export of cafnet: found lines of own on the predictions of s02"),
            (personal, "m.pt2", "model.person_map, which reads who a person is"),
            (network, "m.onnx", r"found a missing package .*pip install -e \"\.\[export\]\"")]:
        with pytest.raises(himoe.InputError, match=message) as caught:
            model.export(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_that_torch_cannot_export_is_one_sentence(people: Windows, tmp_path: Path) -> None:
    model = himoe.HiMoE(epochs=1, sequence_length=4, model={"eeg_encoder": "eegnet"}).fit(people).model_
    with pytest.raises(himoe.InputError, match=r"himoe: found \w+: .*expected a network that torch") as caught:
        model.export(tmp_path / "model.pt2")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
