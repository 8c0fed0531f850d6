"""Using fitted models: encoding once and masking many times equals the whole model under the mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toysets import encode_tensors, make_config, make_data, make_store, model_of

from himoe.core.errors import InputError
from himoe.core.params import RunConfig
from himoe.models.batches import Batch, Normaliser
from himoe.models.methods import method_class, method_names
from himoe.prepare.folds import role_rows
from himoe.prepare.masks import evaluation_draws
from himoe.training.fit import fit_task
from himoe.training.inference import EncodedFold, masked_present, prediction_frame
from himoe.training.model import encode_fold
from himoe.training.rundata import FoldTask, RunData

TASK = FoldTask(1, 0)


def fitted(config: RunConfig, data: RunData) -> tuple[dict[str, torch.Tensor], EncodedFold]:
    tensors = fit_task(config, data, TASK).tensors
    return tensors, encode_tensors(config, data, TASK, tensors)


@pytest.mark.parametrize("method", [name for name in method_names() if method_class(name).looks])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_encode_once_equals_a_full_forward_with_the_mask(method: str, task: str) -> None:
    config = make_config(method, task=task)
    data = make_data(config, make_store())
    tensors, encoded = fitted(config, data)
    draws = evaluation_draws(data.store.index, config.run.modalities, 3)
    kept = masked_present(data, draws, 0.4)
    assert (kept != data.present).any()
    rows, predicted = encoded.rows, encoded.predict(kept)

    whole_model = model_of(config, data, TASK, tensors)
    model, normaliser = whole_model.method, whole_model.normaliser
    whole = replace(data, present=kept).assembler(normaliser, data.subject)  # the modalities are missing from the start
    index = data.store.index
    for (subject, trial), group in index.iloc[rows].groupby(["subject", "trial"]):
        mine = group.sort_values("window").index.to_numpy()
        for first in range(0, len(mine), config.training.sequence_length):
            part = mine[first:first + config.training.sequence_length]
            with torch.no_grad():
                output = model(whole.batch(part[None])).prediction[0].numpy()
            found = np.stack([predicted[np.flatnonzero(rows == row)[0]] for row in part])
            np.testing.assert_allclose(found, output, rtol=1e-4, atol=1e-5, err_msg=f"{subject} {trial}")
    unmasked = encoded.predict(data.present)
    assert not np.allclose(unmasked, predicted, rtol=1e-3)


@pytest.mark.parametrize("method", ["himoe", "features_ridge"])
def test_windows_encoded_on_another_device_say_the_same(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(method)
    data = make_data(config, make_store())
    tensors, encoded = fitted(config, data)
    seen: list[torch.device] = []
    whole = Batch.to
    monkeypatch.setattr(Batch, "to", lambda batch, device: (seen.append(device), whole(batch, device))[1])
    other = encode_fold(model_of(config, data, TASK, tensors), data, TASK, device=torch.device("cpu", 0))
    np.testing.assert_array_equal(other.predict(data.present), encoded.predict(data.present))
    assert {device.index for device in seen} == {0 if method_class(method).gradient else None}


def test_every_test_window_is_predicted_once() -> None:
    config = make_config()
    data = make_data(config, make_store(4, 6, 5))
    _, encoded = fitted(config, data)
    rows, predicted = encoded.rows, encoded.predict(data.present)
    assert sorted(rows) == role_rows(data.store.index, data.folds, 1, "test").tolist()
    assert predicted.shape == (len(rows), 2)
    assert predicted.dtype == np.float64
    assert np.isfinite(predicted).all()


def test_windows_without_any_modality_are_not_predicted() -> None:
    config = make_config()
    data = make_data(config, make_store())
    test = role_rows(data.store.index, data.folds, 1, "test")
    present = data.present.copy()
    present[test[2]] = False
    present[test[5], 0] = False  # one modality is enough
    _, encoded = fitted(config, replace(data, present=present))
    assert len(encoded.predict(present)) == len(encoded.rows)
    assert sorted(encoded.rows) == sorted(set(test) - {test[2]})


def test_a_mask_cannot_bring_back_what_was_never_there() -> None:
    config = make_config()
    data = make_data(config, make_store())
    test = role_rows(data.store.index, data.folds, 1, "test")
    present = data.present.copy()
    present[test[::2], 1] = False
    _, encoded = fitted(config, replace(data, present=present))
    everything = encoded.predict(np.ones_like(present))
    np.testing.assert_array_equal(everything, encoded.predict(present))


@pytest.mark.parametrize("method", ["himoe", "mean"])
def test_a_fold_without_any_signal_predicts_nothing(method: str) -> None:
    """A person held out who has none of the run's modalities."""
    config = make_config(method, "loso")
    data = make_data(config, make_store())
    present = data.present.copy()
    present[role_rows(data.store.index, data.folds, 1, "test")] = False
    _, encoded = fitted(config, replace(data, present=present))
    assert encoded.rows.shape == (0,)
    assert encoded.predict(present).shape == (0, 2)


def test_raw_windows_are_let_go_after_encoding() -> None:
    config = make_config()
    data = make_data(config, make_store())
    _, encoded = fitted(config, data)
    assert all(v.numel() == 0 for batch, _ in encoded.batches for v in batch.x.values())


@pytest.mark.parametrize(("change", "message"), [
    ("shape", "size mismatch"), ("missing", "Missing key"), ("more", "Unexpected key"),
    ("normaliser", "normaliser in weights"), ("no modality", "normaliser in weights")])
def test_weights_of_another_model_are_one_sentence(change: str, message: str) -> None:
    config = make_config()
    data = make_data(config, make_store())
    weights = dict(fitted(config, data)[0])
    name = next(key for key in weights if not key.startswith("normaliser.") and weights[key].ndim == 2)
    if change == "shape":
        weights[name] = weights[name][:, :-1]
    elif change == "missing":
        del weights[name]
    elif change == "more":
        weights["other.weight"] = torch.zeros(2)
    elif change == "normaliser":
        weights["normaliser.EDA.mean"] = weights["normaliser.EDA.mean"][:1]  # one that would fit everybody
    else:
        del weights["normaliser.EDA.spread"]
    with pytest.raises(InputError, match=rf"^run toy-run: .*{message}.*(copy the model|fit it)") as caught:
        model_of(config, data, TASK, weights)
    assert "\n" not in str(caught.value)


def test_a_loaded_method_is_the_fitted_one_in_evaluation_mode(tmp_path: Path) -> None:
    config = make_config()
    data = make_data(config, make_store())
    weights, _ = fitted(config, data)
    save_file(weights, tmp_path / "weights.safetensors")
    loaded = model_of(config, data, TASK, load_file(tmp_path / "weights.safetensors"))
    method, normaliser = loaded.method, loaded.normaliser
    assert not any(module.training for module in method.modules())
    for name, value in method.state_dict().items():
        assert torch.equal(value, weights[name]), name
    expected = Normaliser.from_tensors(weights)
    assert set(normaliser.mean) == {"EEG", "EDA"}
    for modality in ("EEG", "EDA"):
        np.testing.assert_array_equal(normaliser.mean[modality], expected.mean[modality])
        np.testing.assert_array_equal(normaliser.spread[modality], expected.spread[modality])


def test_prediction_frame_has_one_row_a_window_and_dimension() -> None:
    config = make_config()
    data = make_data(config, make_store(4, 6, 5))
    rows = np.array([7, 31, 4])
    values = np.array([[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]])
    frame = prediction_frame(config, data, FoldTask(1, 9), 0.2, rows, values)
    index = data.store.index
    assert list(frame.columns) == ["run", "fold", "seed", "missing_rate", "subject", "trial", "window", "start_s",
                                   "dimension", "y_true", "y_pred"]
    expected = [("toy-run", 1, 9, 0.2, index["subject"][r], index["trial"][r], index["window"][r], index["start_s"][r],
                 dimension, index[dimension][r], values[i, d])
                for i, r in enumerate(rows) for d, dimension in enumerate(("valence", "arousal"))]
    assert list(frame.itertuples(index=False, name=None)) == expected


def test_masks_grow_with_the_rate_and_leave_one_modality() -> None:
    config = make_config()
    data = make_data(config, make_store(4, 20, 5))
    present = data.present.copy()
    present[::7, 0] = False
    data = replace(data, present=present)
    draws = evaluation_draws(data.store.index, config.run.modalities, 0)
    assert masked_present(data, draws, 0.0) is data.present
    before = data.present
    for rate in (0.1, 0.2, 0.4, 0.9):
        kept = masked_present(data, draws, rate)
        assert not (kept & ~before).any()
        assert kept.any(1).all()
        before = kept
    both = data.present.all(1)
    share = masked_present(data, draws, 0.3)[both].mean()
    assert share == pytest.approx(1 - 0.3 + 0.3**2 / 2, abs=0.05)
