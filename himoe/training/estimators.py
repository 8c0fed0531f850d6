"""Every method as a scikit-learn estimator: ``fit(windows)``, ``predict(windows)``, ``save(folder)``.

Legend: n windows, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from himoe.core.errors import bad_input
from himoe.core.params import AlignmentParams, MissingParams, ModelParams, RunConfig, RunParams, TrainingParams
from himoe.core.parsing import parse
from himoe.core.recordings import MODALITIES, expand_modalities
from himoe.models.batches import Task, codes, label_matrix
from himoe.prepare.folds import validation_rows
from himoe.prepare.windowset import Windows
from himoe.scoring.frames import score
from himoe.training.explaining import explain
from himoe.training.fit import fit_task
from himoe.training.fitted import Fitted
from himoe.training.making import make_model
from himoe.training.rundata import FoldTask, RunData, read_as_features

# The project's own choice, found on simulated cohorts that are in no table (params.yaml: reference, profiles.embedded).
MODEL = ModelParams(eeg_encoder="bands", signal_encoder="features", context="kernel")
ALIGNMENT = AlignmentParams(weight=0.03)
SCHEDULE = ("epochs", "batch_sequences", "sequence_length", "learning_rate", "patience", "missing", "missing_max",
            "asynchrony", "weight_decay", "warmup_steps", "ema", "device")
P = TypeVar("P", ModelParams, AlignmentParams)


class Estimator(BaseEstimator):
    """Base of all methods.

    Parameters
    ----------
    modalities : str or None
        Names joined by + (``EEG+EDA``; PPS = every peripheral signal, ALL = everything); None = all that the training
        windows have, but FACE.
    task : str
        ``regression`` (ratings) or ``classification`` (a rating's class is how many of the data set's thresholds are
        below it: low and high, by one threshold).
    epochs : int
        Passes over the training windows at most. This and the next seven are the schedule of networks
        (:class:`himoe.core.params.TrainingParams`); methods fitted in closed form have no use for it.
    learning_rate : float
        Its highest value: it rises over *warmup_steps* and falls along a cosine.
    batch_sequences : int
        Sequences per step.
    sequence_length : int
        Windows per sequence.
    patience : int
        Epochs without a lower validation loss after which training stops.
    warmup_steps : int
        Steps over which the learning rate rises.
    weight_decay : float
        0 = Adam, above it AdamW.
    ema : float
        Decay per step of the running average of weights that is kept; 0 = the weights themselves.
    missing : str
        How sensors are dropped in training: ``sampled`` draws a rate from 0 to *missing_max* for each batch, ``none``.
    missing_max : float
        Highest rate that is drawn, in [0, 1).
    asynchrony : mapping, optional
        Lags of sensors that are drawn in training (:class:`himoe.core.params.AsynchronyParams`); None = none. Methods
        fitted in closed form have no use for it.
    model : mapping, optional
        Changes of the network (:class:`himoe.core.params.ModelParams`).
    alignment : mapping, optional
        Changes of its alignment loss (:class:`himoe.core.params.AlignmentParams`).
    normalise : str
        ``person``: everybody is scaled by own windows, people never met too (no label is needed, some minutes of
        recording are); ``training``: everybody by the statistics of all training windows.
    validation : float
        Share of every person's training trials that choose the epoch and the intervals, unless the windows come from
        :func:`himoe.folds`, which has chosen them.
    min_completeness : float
        Share of a window's samples below which a sensor counts as missing.
    random_state : int
        Seed of first weights, order of batches, masks and validation trials.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Attributes
    ----------
    model_ : Fitted
        After :meth:`fit`.
    """

    method: ClassVar[str] = "himoe"
    model_: Fitted

    def __init__(self, *, modalities: str | None = None, task: str = "regression", epochs: int = 12,
                 learning_rate: float = 0.006, batch_sequences: int = 2, sequence_length: int = 29, patience: int = 12,
                 warmup_steps: int = 20, weight_decay: float = 0.0, ema: float = 0.98, missing: str = "sampled",
                 missing_max: float = 0.4, asynchrony: Mapping[str, Any] | None = None,
                 model: Mapping[str, Any] | None = None,
                 alignment: Mapping[str, Any] | None = None, normalise: str = "person", validation: float = 0.15,
                 min_completeness: float = 0.5, random_state: int = 0, device: str = "auto") -> None:
        self.modalities = modalities
        self.task = task
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_sequences = batch_sequences
        self.sequence_length = sequence_length
        self.patience = patience
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.ema = ema
        self.missing = missing
        self.missing_max = missing_max
        self.asynchrony = asynchrony
        self.model = model
        self.alignment = alignment
        self.normalise = normalise
        self.validation = validation
        self.min_completeness = min_completeness
        self.random_state = random_state
        self.device = device

    def fit(self, windows: Windows, y: np.ndarray | None = None, told: str = "") -> Estimator:
        """Fit on the labelled windows; some of their trials are kept for validation.

        *y* (n, D), where it is given, stands in for the labels of the windows. With *told* the progress over epochs
        is told on standard error under that name.
        """
        windows = windows if y is None else with_labels(windows, y)
        config = self._config(windows)
        data = run_data(config, windows, self.min_completeness, self.validation)
        fold = FoldTask(0, int(self.random_state))
        made = make_model(config, data, fold, fit_task(config, data, fold, told))
        self.model_ = Fitted(made.description, made.method, made.normaliser, made.history)
        return self

    def predict(self, windows: Windows, drop: Sequence[str] = ()) -> pd.DataFrame:
        """Predictions with intervals, one row per window and dimension: :meth:`Fitted.predict`."""
        return self._fitted().predict(windows, drop)

    def adapt(self, windows: Windows, labels: Mapping[str, Mapping[str, float]] | None = None) -> Fitted:
        """The fitted model for one new person: :meth:`Fitted.adapt`."""
        return self._fitted().adapt(windows, labels)

    def explain(self, windows: Windows) -> pd.DataFrame:
        """Which sensor and which experts speak when: :func:`himoe.training.explaining.explain`."""
        return explain(self._fitted(), windows)

    def score(self, windows: Windows, y: np.ndarray | None = None) -> float:
        """Mean CCC (classes: accuracy) over dimensions, of all labelled windows pooled."""
        windows = windows if y is None else with_labels(windows, y)
        metric = "ccc" if self.task == "regression" else "accuracy"
        found = score(self.predict(windows), by="window", draws=0)
        return float(found[(found["metric"] == metric) & (found["dimension"] == "mean")]["value"].iloc[0])

    def save(self, folder: Path | str) -> Path:
        """Write the model as a folder: :meth:`Fitted.save`."""
        return self._fitted().save(folder)

    def _fitted(self) -> Fitted:
        if not hasattr(self, "model_"):
            raise bad_input(type(self).__name__, "no fitted model", "one", "call fit(windows) first")
        return self.model_

    def _model(self) -> ModelParams:
        return self._changed(MODEL, "model", self.model)

    def _alignment(self) -> AlignmentParams:
        return self._changed(ALIGNMENT, "alignment", self.alignment)

    def _changed(self, usual: P, key: str, *changes: Mapping[str, Any] | None) -> P:
        values = {name: getattr(usual, name) for name in usual.__dataclass_fields__}
        for change in changes:
            values |= {name: _plain(value) for name, value in (change or {}).items()}
        return parse(type(usual), values, type(self).__name__, key)

    def _config(self, windows: Windows) -> RunConfig:
        there = [m for m in MODALITIES if m in windows.arrays]
        chosen = expand_modalities(self.modalities or "+".join([m for m in there if m != "FACE"] or there), there)
        name = type(self).__name__
        run = parse(RunParams, {"set": windows.meta.set, "protocol": "trial", "method": self.method,
                                "modalities": chosen, "task": self.task, "normalise": self.normalise}, name)
        training = parse(TrainingParams, {**{key: _plain(getattr(self, key)) for key in SCHEDULE},
                                          "asynchrony": dict(self.asynchrony or {}),
                                          "seeds": (int(self.random_state),)}, name)
        return RunConfig("fit", run, self._model(), self._alignment(), training, int(self.random_state),
                         MissingParams((0.0,), (0,)))


class HiMoE(Estimator):
    """Hierarchical mixture of experts, the method of the paper (Eq. 1-8), as an estimator.

    *modality_experts*, *emotion_experts*, *soft_routing* and *alignment_weight* are the paper's switches; all other
    parameters are those of :class:`Estimator`.
    """

    method = "himoe"

    def __init__(self, *, modality_experts: int = 4, emotion_experts: int = 8, soft_routing: bool = True,
                 alignment_weight: float = 0.03, modalities: str | None = None, task: str = "regression",
                 epochs: int = 12, learning_rate: float = 0.006, batch_sequences: int = 2, sequence_length: int = 29,
                 patience: int = 12, warmup_steps: int = 20, weight_decay: float = 0.0, ema: float = 0.98,
                 missing: str = "sampled", missing_max: float = 0.4,
                 asynchrony: Mapping[str, Any] | None = None, model: Mapping[str, Any] | None = None,
                 alignment: Mapping[str, Any] | None = None, normalise: str = "person", validation: float = 0.15,
                 min_completeness: float = 0.5, random_state: int = 0, device: str = "auto") -> None:
        super().__init__(modalities=modalities, task=task, epochs=epochs, learning_rate=learning_rate,
                         batch_sequences=batch_sequences, sequence_length=sequence_length, patience=patience,
                         warmup_steps=warmup_steps, weight_decay=weight_decay, ema=ema, missing=missing,
                         missing_max=missing_max, asynchrony=asynchrony, model=model, alignment=alignment,
                         normalise=normalise, validation=validation, min_completeness=min_completeness,
                         random_state=random_state, device=device)
        self.modality_experts = modality_experts
        self.emotion_experts = emotion_experts
        self.soft_routing = soft_routing
        self.alignment_weight = alignment_weight

    def _model(self) -> ModelParams:
        own = {"modality_experts": self.modality_experts, "emotion_experts": self.emotion_experts,
               "soft_routing": self.soft_routing}
        return self._changed(MODEL, "model", own, self.model)

    def _alignment(self) -> AlignmentParams:
        return self._changed(ALIGNMENT, "alignment", {"weight": self.alignment_weight}, self.alignment)


class LateFusion(Estimator):
    """One LSTM per modality, decisions averaged (Tang et al. 2017)."""

    method = "late_fusion"


class BiLSTM(Estimator):
    """Bidirectional LSTM (Zhao & Chen 2021)."""

    method = "bilstm"


class TACOFormer(Estimator):
    """Token-channel compounded cross attention (Li 2023)."""

    method = "tacoformer"


class IANet(Estimator):
    """Inter-modal attention network (Li 2024)."""

    method = "ianet"


class MFSTRNN(Estimator):
    """Multimodal fused spatio-temporal RNN (Li 2023)."""

    method = "mfst_rnn"


class CAFNet(Estimator):
    """Cross-attention fusion network."""

    method = "cafnet"


class Husformer(Estimator):
    """Cross-modal transformers (Wang et al. 2022)."""

    method = "husformer"


class MulT(Estimator):
    """Directional cross-modal attention (Tsai et al. 2019)."""

    method = "mult"


class FuseMoE(Estimator):
    """Time attention and a sparse mixture with a Laplace gate (Han et al. 2024)."""

    method = "fusemoe"


class FlexMoE(Estimator):
    """A bank for what is missing, experts per combination of modalities (Yun et al. 2024)."""

    method = "flex_moe"


class MoMKE(Estimator):
    """Modality experts that all see every modality, softly mixed (Xu et al. 2024)."""

    method = "momke"


class FeaturesGBDT(Estimator):
    """Gradient-boosted trees on features of windows."""

    method = "features_gbdt"


class FeaturesRidge(Estimator):
    """Ridge (logistic) regression on features of windows."""

    method = "features_ridge"


class Mean(Estimator):
    """The mean training label: the floor."""

    method = "mean"


def _plain(value: Any) -> Any:
    """A number of NumPy, as a grid of a search gives it, as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def with_labels(windows: Windows, y: np.ndarray) -> Windows:
    """The windows with labels *y*, (n, D) or (n,) for one dimension."""
    values = np.asarray(y, dtype=np.float64).reshape(len(windows), -1)
    if values.shape[1] != len(windows.dimensions):
        raise bad_input("y", f"{values.shape[1]} columns", f"{len(windows.dimensions)}: {' '.join(windows.dimensions)}",
                        "give one column per rated dimension")
    return replace(windows, index=windows.index.assign(**dict(zip(windows.dimensions, values.T, strict=True))))


def run_data(config: RunConfig, windows: Windows, min_completeness: float, validation: float) -> RunData:
    """Windows as what a fit draws on: fold 0 has their training and validation rows and tests nothing."""
    if not windows.dimensions:
        raise bad_input("windows: dimensions", "none", "at least one rated dimension", "give labels")
    if config.run.task == "classification" and not windows.meta.thresholds:
        raise bad_input("windows: thresholds", "none", "at least one rating that parts two classes",
                        "give thresholds with the windows, or fit with task='regression'")
    made = read_as_features(config.run, config.model)
    store = windows.store(config.run.modalities, made)
    task = Task(config.run.task, windows.dimensions, windows.meta.scale, tuple(windows.meta.thresholds))
    labels = label_matrix(store.index, task)
    present = store.present(min_completeness)
    rows = present.any(1) & np.isfinite(labels).any(1)
    role = windows.role if windows.role is not None else split_roles(windows.index, rows, validation, config.seed)
    folds = windows.index[["subject", "trial", "window"]].assign(fold=0, role=role)[rows & (role != "")]
    for name in ("train", "validation"):
        if not (folds["role"] == name).any():
            raise bad_input("windows", f"no labelled {name} window", "at least two labelled trials",
                            "give more trials, or check their labels")
    return RunData(store, folds, task, labels, present, codes(store.index["subject"]), codes(store.index["stimulus"]),
                   replace(windows.meta, modalities={m: windows.meta.modalities[m] for m in config.run.modalities}),
                   min_completeness)


def split_roles(index: pd.DataFrame, rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Role (n,) of each window: of every person with two trials or more, a *share* of the trials validates."""
    trials = index[rows][["subject", "trial"]].drop_duplicates().sort_values(["subject", "trial"], ignore_index=True)
    held = validation_rows(trials, np.ones(len(trials), bool), "trial", share,
                           np.random.default_rng([seed, len(trials)]))
    chosen = pd.MultiIndex.from_frame(trials.iloc[held])
    validating = pd.MultiIndex.from_frame(index[["subject", "trial"]]).isin(chosen)
    return np.where(rows, np.where(validating, "validation", "train"), "")
