"""Using fitted models: encoding once and masking many times equals the whole model under the mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toysets import make_config, make_data, make_store

from himoe.batches import Normaliser
from himoe.folds import role_rows
from himoe.inference import EncodedFold, encode_fold, load_method, masked_present, prediction_frame
from himoe.masks import evaluation_draws
from himoe.params import RunConfig
from himoe.rundata import FoldTask, RunData
from himoe.training import fit_task

TASK = FoldTask(1, 0)


def fitted(config: RunConfig, data: RunData, folder: Path) -> tuple[Path, EncodedFold]:
    weights, _ = fit_task(config, data, TASK)
    path = folder / "weights.safetensors"
    save_file(weights, path)
    return path, encode_fold(config, data, TASK, path)


@pytest.mark.parametrize("method", ["himoe", "late_fusion", "features_gbdt"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_encode_once_equals_a_full_forward_with_the_mask(method: str, task: str, tmp_path: Path) -> None:
    config = make_config(method, task=task)
    data = make_data(config, make_store())
    path, encoded = fitted(config, data, tmp_path)
    draws = evaluation_draws(data.store.index, config.run.modalities, 3)
    kept = masked_present(data, draws, 0.4)
    assert (kept != data.present).any()
    rows, predicted = encoded.predict(kept)

    model, normaliser = load_method(config, data, path)
    whole = replace(data, present=kept).assembler(normaliser)  # the modalities are missing from the start
    index = data.store.index
    for (subject, trial), group in index.iloc[rows].groupby(["subject", "trial"]):
        mine = group.sort_values("window").index.to_numpy()
        for first in range(0, len(mine), config.training.sequence_length):
            part = mine[first:first + config.training.sequence_length]
            with torch.no_grad():
                output = model(whole.batch(part[None])).prediction[0].numpy()
            found = np.stack([predicted[np.flatnonzero(rows == row)[0]] for row in part])
            np.testing.assert_allclose(found, output, rtol=1e-4, atol=1e-5, err_msg=f"{subject} {trial}")
    unmasked = encoded.predict(data.present)[1]
    assert not np.allclose(unmasked, predicted, rtol=1e-3)


def test_every_test_window_is_predicted_once(tmp_path: Path) -> None:
    config = make_config()
    data = make_data(config, make_store(4, 6, 5))
    _, encoded = fitted(config, data, tmp_path)
    rows, predicted = encoded.predict(data.present)
    assert sorted(rows) == role_rows(data.store.index, data.folds, 1, "test").tolist()
    assert predicted.shape == (len(rows), 2)
    assert predicted.dtype == np.float64
    assert np.isfinite(predicted).all()


def test_windows_without_any_modality_are_not_predicted(tmp_path: Path) -> None:
    config = make_config()
    data = make_data(config, make_store())
    test = role_rows(data.store.index, data.folds, 1, "test")
    present = data.present.copy()
    present[test[2]] = False
    present[test[5], 0] = False  # one modality is enough
    _, encoded = fitted(config, replace(data, present=present), tmp_path)
    rows, _ = encoded.predict(present)
    assert sorted(rows) == sorted(set(test) - {test[2]})


def test_a_mask_cannot_bring_back_what_was_never_there(tmp_path: Path) -> None:
    config = make_config()
    data = make_data(config, make_store())
    test = role_rows(data.store.index, data.folds, 1, "test")
    present = data.present.copy()
    present[test[::2], 1] = False
    _, encoded = fitted(config, replace(data, present=present), tmp_path)
    everything = encoded.predict(np.ones_like(present))
    np.testing.assert_array_equal(everything[1], encoded.predict(present)[1])


def test_raw_windows_are_let_go_after_encoding(tmp_path: Path) -> None:
    config = make_config()
    data = make_data(config, make_store())
    _, encoded = fitted(config, data, tmp_path)
    assert all(v.numel() == 0 for batch, _ in encoded.batches for v in batch.x.values())


def test_a_loaded_method_is_the_fitted_one_in_evaluation_mode(tmp_path: Path) -> None:
    config = make_config()
    data = make_data(config, make_store())
    path, _ = fitted(config, data, tmp_path)
    weights, _ = fit_task(config, data, TASK)
    method, normaliser = load_method(config, data, path)
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
