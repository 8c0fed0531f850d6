"""Fitting one model: what decides its weights, and what must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from toysets import encode_tensors, make_config, make_data, make_store, poisoned, rows_of

from himoe.core.errors import InputError
from himoe.core.params import RunConfig
from himoe.models.batches import Normaliser
from himoe.models.methods import build_method, method_class, method_names
from himoe.prepare.masks import evaluation_draws, training_mask
from himoe.training import fit as training
from himoe.training.fit import FitResult, choose_device, fit_task
from himoe.training.inference import masked_present
from himoe.training.material import derive_seed
from himoe.training.rundata import FoldTask, RunData, make_spec

TASK = FoldTask(1, 0)
METHODS = ["himoe", "late_fusion", "features_gbdt", "mean"]  # of each kind one; every method in the basic tests


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[name], right[name]) for name in left)


def assert_same(left: FitResult, right: FitResult) -> None:
    """Tensor for tensor and row for row."""
    assert equal(left.tensors, right.tensors)
    pd.testing.assert_frame_equal(left.history, right.history, check_exact=True)
    pd.testing.assert_frame_equal(left.search, right.search, check_exact=True)


@pytest.mark.parametrize("method", method_names())
def test_a_fit_is_deterministic_recorded_and_moves_every_weight_in_one_epoch(method: str) -> None:
    config = make_config(method, epochs=1, search={"learning_rate": (0.01, 0.003)})
    data = make_data(config, make_store())
    fitted = fit_task(config, data, TASK)
    torch.manual_seed(123)
    torch.rand(7)
    np.random.seed(5)  # noqa: NPY002 - the global state must not matter
    assert_same(fitted, fit_task(config, data, TASK))
    assert all(torch.isfinite(tensor).all() for tensor in fitted.tensors.values() if tensor.is_floating_point())
    assert (fitted.history["epoch"].tolist(), fitted.history["best"].tolist()) == ([0], [True])
    assert np.isfinite(fitted.history[["train_loss", "validation_loss"]]).all(axis=None)
    assert list(fitted.search) == ["trial", "learning_rate", "validation_loss", "chosen"]
    assert len(fitted.search) == (2 if method_class(method).gradient else 0)
    if method_class(method).gradient:
        torch.manual_seed(derive_seed(config.seed, TASK.seed, TASK.fold, method))
        start = build_method(method, make_spec(config, data))
        assert [name for name, value in start.named_parameters() if torch.equal(value, fitted.tensors[name])] == []


def test_seed_and_fold_decide_the_weights() -> None:
    config = make_config()
    data = make_data(config, make_store())
    fits = [fit_task(config, data, task).tensors for task in (TASK, FoldTask(1, 1), FoldTask(0, 0))]
    assert not equal(fits[0], fits[1])
    assert not equal(fits[0], fits[2])


# Every protocol has its folds, and two ways to normalise (of each person, of everybody); every method fits in its way.
HELD_OUT = [*((method, protocol) for method in METHODS for protocol in ("trial", "loso")),
            ("himoe", "stimulus"), ("himoe", "leaky")]


@pytest.mark.parametrize(("method", "protocol"), HELD_OUT)
def test_signals_and_labels_of_test_rows_have_no_influence(method: str, protocol: str) -> None:
    """Huge in one half of the rows, lost in the other."""
    config = make_config(method, protocol, search={"learning_rate": (0.01, 0.003)})
    data = make_data(config, make_store())
    test, labels = rows_of(data, "test"), data.labels.copy()
    labels[test] = [1e6, np.nan]
    poison = poisoned(poisoned(replace(data, labels=labels), test[::2], 1e30), test[1::2], np.nan)
    assert_same(fit_task(config, data, TASK), fit_task(config, poison, TASK))


@pytest.mark.parametrize("method", METHODS)
def test_the_poison_would_be_seen_in_training_rows(method: str) -> None:
    config = make_config(method)
    data = make_data(config, make_store())
    train = rows_of(data, "train")
    labels = data.labels.copy()
    labels[train] = labels[train] ** 2
    clean = fit_task(config, data, TASK).tensors
    assert not equal(clean, fit_task(config, replace(data, labels=labels), TASK).tensors)
    spread = fit_task(config, poisoned(data, train[:2], 50.0), TASK).tensors["normaliser.EEG.spread"]
    assert not torch.equal(clean["normaliser.EEG.spread"], spread)


@pytest.mark.parametrize("protocol", ["trial", "loso"])
def test_the_normaliser_holds_the_training_rows_moments(protocol: str) -> None:
    """Of each person that trains, then of everybody; where people are held out, of those that are not."""
    config = make_config(protocol=protocol)
    data = make_data(config, make_store(5, 6, 4))
    weights = fit_task(config, data, TASK).tensors
    train = rows_of(data, "train")
    people = np.unique(data.subject[train])
    assert len(people) == {"trial": 5, "loso": 3}[protocol]
    assert weights["normaliser.EEG.mean"].shape == (len(people) + 1, 3)
    for code, rows in enumerate([*(train[data.subject[train] == person] for person in people), train]):
        values = data.store.arrays["EEG"][rows].astype(np.float64)
        np.testing.assert_allclose(weights["normaliser.EEG.mean"][code], values.mean((0, 2)), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(weights["normaliser.EEG.spread"][code], values.std((0, 2)), rtol=1e-5)


def test_windows_without_label_or_signal_are_not_trained_on() -> None:
    config = make_config()
    data = make_data(config, make_store())
    unlabelled, absent = rows_of(data, "train")[[0, 1]], rows_of(data, "train")[[2, 3]]
    labels, present = data.labels.copy(), data.present.copy()
    labels[unlabelled] = np.nan
    present[absent] = False
    data = replace(data, labels=labels, present=present)
    rows = np.concatenate([unlabelled, absent])
    assert_same(fit_task(config, data, TASK), fit_task(config, poisoned(data, rows, 77.0), TASK))


def validation_mse(config: RunConfig, data: RunData, weights: dict[str, torch.Tensor]) -> float:
    """MSE over the validation rows, window by window, in units of the training labels' variance."""
    method = build_method(config.run.method, make_spec(config, data))
    method.load_state_dict({k: v for k, v in weights.items() if not k.startswith("normaliser.")})
    assembler = data.assembler(Normaliser.from_tensors(weights), data.subject)
    errors = []
    with torch.no_grad():
        for row in rows_of(data, "validation"):
            output = method.eval()(assembler.batch(np.array([[row]])))
            error = (output.prediction[0, 0].numpy() - data.labels[row]) / data.labels[rows_of(data, "train")].std(0)
            errors.append((error**2).mean())
    return float(np.mean(errors))


@pytest.mark.slow
def test_early_stopping_keeps_the_best_epochs_weights() -> None:
    config = make_config(epochs=40, patience=3, learning_rate=0.1)
    data = make_data(config, make_store())
    fitted = fit_task(config, data, TASK)
    weights, history = fitted.tensors, fitted.history
    best = int(history["validation_loss"].idxmin())
    assert history.index[history["best"]].tolist() == [best]
    assert best < len(history) - 1  # later epochs were worse, so the last weights are not the best
    assert len(history) == min(best + 3 + 1, 40)
    assert validation_mse(config, data, weights) == pytest.approx(history.loc[best, "validation_loss"], rel=1e-4)
    assert validation_mse(config, data, weights) != pytest.approx(history["validation_loss"].iloc[-1], rel=1e-4)


@cache
def taught(method: str, missing: str = "none", shuffle_labels: bool = False) -> tuple[float, float]:
    """MSE over the variance of the test rows after a training long enough to learn, at missing rates 0 and 0.4."""
    config = make_config(method, epochs=16, patience=16, learning_rate=0.02, missing=missing,
                         shuffle_labels=shuffle_labels)
    data = make_data(config, make_store(3, 24, 5))
    encoded = encode_tensors(config, data, TASK, fit_task(config, data, TASK).tensors)
    truth, draws = data.labels[encoded.rows], evaluation_draws(data.store.index, config.run.modalities, 0)
    errors = [((encoded.predict(masked_present(data, draws, rate)) - truth) ** 2).mean() for rate in (0.0, 0.4)]
    return errors[0] / truth.var(0).mean(), errors[1] / truth.var(0).mean()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["himoe", "features_gbdt"])
def test_the_planted_effect_is_learned_better_than_the_mean(method: str) -> None:
    assert taught(method)[0] < 0.5 * taught("mean")[0]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "learned"), [("himoe", [1]), ("features_gbdt", [0, 1])])
def test_classes_are_learned(method: str, learned: list[int]) -> None:
    """The network sees EDA's level (arousal) in this time, the trees EEG's power (valence) too."""
    config = make_config(method, task="classification", epochs=20, patience=20, missing="none")
    data = make_data(config, make_store(3, 24, 5))
    encoded = encode_tensors(config, data, TASK, fit_task(config, data, TASK).tensors)
    predicted, truth = encoded.predict(data.present), data.labels[encoded.rows]
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert set(np.unique(truth)) == {0.0, 1.0}
    for dimension in learned:
        assert roc_auc_score(truth[:, dimension], predicted[:, dimension]) > 0.8  # 0.5 = chance


@pytest.mark.slow
def test_shuffled_labels_teach_nothing() -> None:
    assert taught("himoe")[0] < 0.4
    assert taught("himoe", shuffle_labels=True)[0] > 0.8


def test_the_mean_is_of_the_shuffled_training_labels() -> None:
    config = make_config("mean", shuffle_labels=True)
    data = make_data(config, make_store())
    weights = fit_task(config, data, TASK).tensors
    np.testing.assert_allclose(weights["overall"], data.labels[rows_of(data, "train")].mean(0), rtol=1e-5)
    plain = make_data(make_config("mean"), make_store())
    assert not np.allclose(weights["overall"], plain.labels[rows_of(plain, "train")].mean(0), rtol=1e-3)


Drawn = list[tuple[float, float]]


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Every call of ``training_mask``: the rate, the share that stays."""
    calls: Drawn = []

    def recording(present: torch.Tensor, draws: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
        kept = training_mask(present, draws, rate)
        calls.append((float(rate), float(kept.sum() / present.sum())))
        return kept

    monkeypatch.setattr(training, "training_mask", recording)
    return calls


def test_missing_none_drops_nothing(spy: Drawn) -> None:
    config = make_config(missing="none")
    fit_task(config, make_data(config, make_store()), TASK)
    assert spy == []


@pytest.mark.slow
def test_missing_matched_drops_at_the_tasks_rate(spy: Drawn) -> None:
    config = make_config(missing="matched", epochs=6, patience=6)
    data = make_data(config, make_store())
    weights = {}
    for rate in (0.0, 0.3):
        spy.clear()
        weights[rate] = fit_task(config, data, FoldTask(1, 0, rate)).tensors
        np.testing.assert_allclose([asked for asked, _ in spy], rate, rtol=1e-6)
        # a window keeps at least one of its two modalities: 1 - r + r² / 2 of them stay
        assert np.mean([share for _, share in spy]) == pytest.approx(1 - rate + rate**2 / 2, abs=0.04)
    assert not equal(weights[0.0], weights[0.3])


def test_missing_sampled_draws_a_rate_a_batch(spy: Drawn) -> None:
    config = make_config(missing="sampled", missing_max=0.4, epochs=10, patience=10)
    fit_task(config, make_data(config, make_store()), TASK)
    rates, shares = np.array(spy).T
    assert rates.min() >= 0
    assert 0.38 < rates.max() < 0.4
    assert len(np.unique(rates)) == len(rates)
    assert shares.std() > 0.06  # batches differ by more than the draw of one common rate
    assert shares.mean() == pytest.approx(1 - 0.2 + 0.4**2 / 6, abs=0.05)


@pytest.mark.slow
def test_training_without_missing_modalities_suffers_more_from_them() -> None:
    without, sampled = taught("himoe"), taught("himoe", missing="sampled")
    assert sampled[1] / sampled[0] < without[1] / without[0]


def drop_labels(data: RunData, rows: np.ndarray) -> RunData:
    labels = data.labels.copy()
    labels[rows] = np.nan
    return replace(data, labels=labels)


def drop_signals(data: RunData, rows: np.ndarray) -> RunData:
    present = data.present.copy()
    present[rows] = False
    return replace(data, present=present)


@pytest.mark.parametrize("role", ["train", "validation"])
@pytest.mark.parametrize("lose", [drop_labels, drop_signals])
def test_a_fold_with_nothing_to_learn_from_is_refused(
    role: str, lose: Callable[[RunData, np.ndarray], RunData]
) -> None:
    config = make_config()
    data = make_data(config, make_store())
    with pytest.raises(InputError, match=f"toy-run fold 1: found no labelled {role} window"):
        fit_task(config, lose(data, rows_of(data, role)), TASK)


def test_a_diverged_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.Fit, "_validation_losses", lambda fit: [float("nan")])
    config = make_config()
    with pytest.raises(InputError, match=r"fold-01_seed-0: found a loss that is not finite in the validation rows"):
        fit_task(config, make_data(config, make_store()), TASK)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_devices() -> None:
    assert choose_device("auto").type == choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match=r"training\.device: found 'cuda'"):
        choose_device("cuda")
