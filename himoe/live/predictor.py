"""A fitted model, one window at a time: what it saw before is its context, what comes later is not there.

Legend: T windows of a sequence, M modalities, C channels, W samples, D dimensions, K classes (0 for ratings),
G people that the model knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from himoe.core.errors import bad_input
from himoe.models.batches import Assembler, Batch, Normaliser, step_times_s
from himoe.models.methods.base import Method
from himoe.prepare.feature_shards import SMALLEST_SD, feature_array
from himoe.prepare.windows import STAMP, ModalityShape, ShardMeta, WindowStore
from himoe.training.conformal import bounds
from himoe.training.description import Description, ModalityForm
from himoe.training.fitted import Fitted
from himoe.training.stepping import predict_newest

PROBE_STEPS = 3
PRIOR_WINDOWS = 10  # a stranger's statistics start as everybody's, which weigh as much as so many windows


class Moments:
    """Mean and spread (C,) of what a stranger has sent so far, starting from *mean* and *spread* of everybody."""

    def __init__(self, mean: np.ndarray, spread: np.ndarray) -> None:
        self.count = np.full(len(mean), float(PRIOR_WINDOWS))
        self.sum = self.count * mean
        self.squares = self.count * (spread.astype(np.float64) ** 2 + mean.astype(np.float64) ** 2)

    def add(self, values: np.ndarray) -> None:
        """Count one window (C, W): its mean and its mean square."""
        known = np.isfinite(values)
        some = np.maximum(known.sum(axis=1), 1)
        there = known.any(axis=1)
        clean = np.where(known, values, 0.0).astype(np.float64)
        self.count += there
        self.sum += clean.sum(axis=1) / some
        self.squares += (clean**2).sum(axis=1) / some

    def get(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and SD (C,); the SD of what does not vary is 1, and the mean of what nobody knows yet is 0."""
        count = np.maximum(self.count, 1.0)
        mean = self.sum / count
        spread = np.sqrt(np.maximum(self.squares / count - mean**2, 0.0))
        return mean, np.where(spread > SMALLEST_SD, spread, 1.0)


class Predictor:
    """Predicts for one person, window after window.

    Parameters
    ----------
    model : Fitted
    person : int or None
        Place in ``model.description.people``; None = somebody the model does not know, who is scaled as
        ``description.normalise`` says: by everybody's statistics (``training``), or by own windows so far (``person``),
        which start from everybody's.
    """

    def __init__(self, model: Fitted, person: int | None = None) -> None:
        self.form: Description = model.description
        self.method = model.method
        self.stranger = person is None and self.form.normalise == "person"
        last = len(self.form.people)  # the row of everybody
        self.code = person if person is not None else last + 1 if self.stranger else last
        extra = {m: np.concatenate([v, v[-1:]]) for m, v in model.normaliser.mean.items()}
        self.scale = Normaliser(extra, {m: np.concatenate([v, v[-1:]]) for m, v in model.normaliser.spread.items()})
        self.moments = {m: Moments(v[-1], model.normaliser.spread[m][-1]) for m, v in model.normaliser.mean.items()}
        # Features as deviations from the person's own mean: nobody else's says where that lies.
        self.own = {m: Moments(np.zeros(v.shape[1]), np.zeros(v.shape[1])) for m, v in model.normaliser.mean.items()}
        for one in self.own.values():
            one.count[:] = 0
        self.reads_times = reads_times(self.method)
        self.places = [k for k in range(self.form.trained_people, last) if k == person]
        self.clear()
        self.meta = ShardMeta("live", {}, {
            m: {"channels": list(s.ch_names), "samples": s.samples, "sfreq_hz": s.sfreq_hz, "unit": ""}
            for m, s in self.form.shapes.items()}, self.form.dimensions, self.form.scale, self.form.thresholds,
            self.form.length_s, self.form.step_s, "trial")

    def clear(self) -> None:
        """Forget the context, not the person: the next window is the first one of another trial."""
        self.seen: deque[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]] = deque(
            maxlen=self.form.sequence_length)

    def step(self, windows: Mapping[str, np.ndarray], off_s: Mapping[str, float] | None = None,
             ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """Predict for the next window.

        Parameters
        ----------
        windows : {modality: array (C, W) float32}
            In the model's order of channels, rate and unit; NaN = not there. What is too incomplete for the model, and
            what is left out, is absent.
        off_s : {modality: float}, optional
            By how many seconds a window begins after the step, by its sensor's own clock; below 0: it is older.

        Returns
        -------
        (predicted, low, high, probabilities), (D,) each and (D, K), or None
            As :meth:`himoe.Fitted.predict` has them; None if no sensor is there, which leaves no trace.
        """
        present = np.array([m in windows and np.isfinite(windows[m]).mean() >= self.form.min_completeness
                            for m in self.form.modalities])
        if not present.any():
            return None
        read = {m: self._read(m, form, windows[m] if here else None)
                for (m, form), here in zip(self.form.modalities.items(), present, strict=True)}
        self._learn(read, present)
        self.seen.append((read, present, np.array([(off_s or {}).get(m, 0.0) for m in self.form.modalities])))
        values, chances = self._predict()
        low, high = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        absent = np.array([np.count_nonzero(~present)])
        for d, name in enumerate(self.form.dimensions):
            if name in self.form.intervals:
                low[[d]], high[[d]] = bounds(values[[d]], absent, self.form.intervals[name], self.form.scale)
        return values, low, high, chances

    def _read(self, modality: str, form: ModalityForm, window: np.ndarray | None) -> np.ndarray:
        """A window, or its features, as the model reads it; NaN where the modality is absent."""
        shape = self.form.shapes[modality]
        if window is None:
            return np.full((shape.channels, shape.samples), np.nan, np.float32)
        if not form.features:
            return window
        raw = ModalityShape(len(form.channels), form.samples, form.sfreq_hz, form.channels)
        return feature_array(modality, window[None], raw, np.array([True]))[0]

    def _learn(self, read: Mapping[str, np.ndarray], present: np.ndarray) -> None:
        """Count the window in the person's own statistics."""
        for (name, form), here in zip(self.form.modalities.items(), present, strict=True):
            if not here:
                continue
            values = read[name]
            if form.features and self.form.features_normalise == "person":
                self.own[name].add(values)
                values = self._deviation(name, values)
            if self.stranger:
                self.moments[name].add(values)
                mean, spread = self.moments[name].get()
                self.scale.mean[name][-1] = mean
                if not form.features:  # features keep everybody's spread
                    self.scale.spread[name][-1] = spread

    def _deviation(self, name: str, values: np.ndarray) -> np.ndarray:
        """Features (P, 1) from the person's own mean, in own SDs; NaN, and no other feature, where one is not known."""
        mean, spread = self.own[name].get()
        return ((values - mean[:, None]) / spread[:, None]).astype(np.float32)

    def _predict(self) -> tuple[np.ndarray, np.ndarray]:
        """The prediction (D,), and the probabilities (D, K), for the newest window in its context."""
        count = len(self.seen)
        arrays = {}
        for name, form in self.form.modalities.items():
            values = np.stack([read[name] for read, _, _ in self.seen])
            own = form.features and self.form.features_normalise == "person"
            arrays[name] = np.stack([self._deviation(name, one) for one in values]) if own else values
        present = np.stack([here for _, here, _ in self.seen])
        labels = np.full((count, len(self.form.dimensions)), np.nan)
        person = np.full(count, self.code, dtype=np.int64)
        stimulus = np.full(count, len(self.form.stimuli), dtype=np.int64)
        assembler = Assembler(WindowStore(self._times(), arrays, self.meta), self.scale, labels, present, person,
                              stimulus)
        newest, chances = predict_newest(self.method, assembler)
        values = newest[None]
        for place in self.places:
            values = self.form.calibrations[place - self.form.trained_people].apply(values, self.form.scale)
        return values[0], chances

    def _times(self) -> pd.DataFrame:
        """When the windows seen begin: on the grid of the steps, and by each sensor's own clock."""
        start_s = np.arange(len(self.seen)) * self.form.step_s
        off_s = np.stack([off for _, _, off in self.seen])
        return pd.DataFrame({"start_s": start_s} | {
            f"{STAMP}{m}": start_s + off_s[:, k] for k, m in enumerate(self.form.modalities)})


@torch.no_grad()
def reads_times(method: Method) -> bool:
    """Whether the windows' own times (:attr:`Batch.times_s`) change what *method* answers; tried on noise."""
    spec, noise = method.spec, torch.Generator().manual_seed(0)
    x = {m: torch.randn(1, PROBE_STEPS, s.channels, s.samples, generator=noise) for m, s in spec.shapes.items()}
    there = torch.ones(1, PROBE_STEPS, len(x), dtype=torch.bool)
    person = torch.zeros(1, dtype=torch.int64)
    late_s = (step_times_s(PROBE_STEPS, spec.step_s) - spec.step_s)[None, :, None].repeat(1, 1, len(x))
    late_s[..., 1:] += spec.step_s  # the first sensor alone is a step late
    plain, late = (Batch(x, there, torch.full((1, PROBE_STEPS, len(spec.task.dimensions)), torch.nan), there[..., 0],
                         person, person, times_s) for times_s in (None, late_s))
    codes = method.encode(plain)
    return not torch.equal(method.decode(codes, plain).raw, method.decode(codes, late).raw)


def person_code(form: Description, name: str | None, set_name: str | None = None) -> int | None:
    """A known person's place in ``form.people``; None for a stranger.

    With *set_name* a name counts only in that data set; without it a name that is not known is refused.

    Raises
    ------
    InputError
        If no *set_name* is given and nobody is called that.
    """
    if name is None:
        return None
    if set_name is not None:
        return form.codes(set_name).get(name)
    if name not in form.people:
        raise bad_input("person", repr(name), f"one of {' '.join(form.people[:20])}, or nobody",
                        "leave the person out for somebody whom the model does not know")
    return len(form.people) - 1 - form.people[::-1].index(name)
