"""Windows of anybody, as a fitted model reads them: modalities by name, channels by name, people by name.

Legend: n windows, M modalities, C channels, W samples, P features, G people that the model knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from himoe.core.errors import bad_input
from himoe.models.batches import Assembler, Normaliser, label_matrix
from himoe.prepare.feature_shards import feature_array, person_moments
from himoe.prepare.window_arrays import WindowArray, picked
from himoe.prepare.windows import ModalityShape, ShardMeta, WindowStore
from himoe.prepare.windowset import Windows
from himoe.training.description import Description, ModalityForm
from himoe.training.people import person_codes, with_strangers


def prepare(form: Description, normaliser: Normaliser, windows: Windows) -> Assembler:
    """What makes batches of *windows* for the model that *form* describes; InputError if they do not fit it."""
    check_grid(form, windows.meta)
    arrays = {name: _read(form, name, entry, windows) for name, entry in form.modalities.items()}
    present = np.stack([_present(form, name, windows) for name in form.modalities], axis=1)
    meta = ShardMeta(windows.meta.set, windows.meta.provenance, {
        name: {"channels": list(shape.ch_names), "samples": shape.samples, "sfreq_hz": shape.sfreq_hz, "unit": ""}
        for name, shape in form.shapes.items()}, form.dimensions, form.scale, form.thresholds, form.length_s,
        form.step_s, windows.meta.label_source)
    store = WindowStore(windows.index, arrays, meta)
    subject = person_codes(windows.groups, form.codes(windows.meta.set), len(form.people), form.normalise)
    full = with_strangers(normaliser, store, np.arange(len(windows)), present, subject)
    return Assembler(store, full, _labels(form, windows), present, subject, _stimulus_codes(form, windows))


def check_grid(form: Description, meta: ShardMeta) -> None:
    """Refuse windows of another length or step."""
    for name in ("length_s", "step_s"):
        found, expected = getattr(meta, name), getattr(form, name)
        if abs(found - expected) > 1e-9:
            raise bad_input(f"windows: {name}", f"{found:g} s", f"{expected:g} s, as the model was fitted with",
                            f"make windows with length_s={form.length_s:g} and step_s={form.step_s:g}")


def drop_modalities(form: Description, names: Sequence[str]) -> np.ndarray:
    """Flags (M,) of the modalities to do without.

    Raises
    ------
    InputError
        If the model has none of that name, or none is left.
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in form.modalities:
            raise bad_input("drop", repr(name), f"one of {' '.join(form.modalities)}", "correct the name")
    flags = np.array([name in names for name in form.modalities])
    if flags.all():
        raise bad_input("drop", f"every modality of the model ({' '.join(form.modalities)})", "all but one at most",
                        "leave one")
    return flags


def _present(form: Description, name: str, windows: Windows) -> np.ndarray:
    """Flags (n,): is enough of the window there?"""
    if name not in windows.arrays:
        return np.zeros(len(windows), dtype=bool)
    return windows.index[f"completeness_{name}"].to_numpy() >= form.min_completeness


def _read(form: Description, name: str, entry: ModalityForm, windows: Windows) -> WindowArray:
    """A modality's windows, or their features, as the model reads them; NaN where it is not there."""
    shape = form.shapes[name]
    if name not in windows.arrays:
        return np.full((len(windows), shape.channels, shape.samples), np.nan, np.float32)
    order = channel_order(name, entry, windows.meta.shape(name), str(windows.meta.modalities[name].get("unit", "")))
    same = order == list(range(windows.meta.shape(name).channels))
    if entry.features:
        values = windows.features(name) if same else _features_of(name, entry, windows, order)
        return by_person(windows, values) if form.features_normalise == "person" else values
    array = windows.arrays[name]
    return array if same else picked(array, order)


def _features_of(name: str, entry: ModalityForm, windows: Windows, order: list[int]) -> np.ndarray:
    there = windows.index[f"completeness_{name}"].to_numpy() > 0
    shape = ModalityShape(len(entry.channels), entry.samples, entry.sfreq_hz, entry.channels)
    return feature_array(name, picked(windows.arrays[name], order), shape, there)


def channel_order(name: str, entry: ModalityForm, shape: ModalityShape, unit: str = "") -> list[int]:
    """Where the model's channels stand among those of the windows, found by name.

    Raises
    ------
    InputError
        If rate or *unit* differ (an unknown one is believed), or a channel is not there.
    """
    if (shape.samples, shape.sfreq_hz) != (entry.samples, entry.sfreq_hz):
        raise bad_input(f"windows: {name}", f"{shape.samples} samples at {shape.sfreq_hz:g} Hz",
                        f"{entry.samples} at {entry.sfreq_hz:g} Hz, as the model was fitted with",
                        "make windows with the model's filters (description.modalities)")
    if unit and entry.unit and unit != entry.unit:
        raise bad_input(f"windows: {name}: unit", unit, f"{entry.unit}, as the model was fitted with",
                        "convert the signal")
    places = {channel.lower(): k for k, channel in reversed(list(enumerate(shape.ch_names)))}
    lost = [channel for channel in entry.channels if channel.lower() not in places]
    if lost and len(shape.ch_names) == len(entry.channels) == 1:
        return [0]  # one channel has no order to get wrong, whatever it is called
    if lost:
        raise bad_input(f"windows: {name}: channels", " ".join(shape.ch_names), " ".join(entry.channels),
                        f"name the channels as the model does; {lost[0]} is not there")
    return [places[channel.lower()] for channel in entry.channels]


def by_person(windows: Windows, values: np.ndarray) -> np.ndarray:
    """Features (n, P, 1) as deviations from each person's own mean, in own SDs."""
    scaled = values.copy()
    for person in np.unique(windows.groups):
        rows = windows.groups == person
        mean, spread = person_moments(windows.index[rows].reset_index(drop=True), values[rows, :, 0])
        scaled[rows] = ((values[rows] - mean[:, None]) / spread[:, None]).astype(np.float32)
    return scaled


def _labels(form: Description, windows: Windows) -> np.ndarray:
    """Labels (n, D) of the model's dimensions; NaN where the windows do not have them."""
    index = windows.index[[name for name in form.dimensions if name in windows.index]].reindex(
        columns=list(form.dimensions))
    return label_matrix(index, form.task)


def _stimulus_codes(form: Description, windows: Windows) -> np.ndarray:
    known = {name: code for code, name in enumerate(form.stimuli)}
    return np.array([known.get(name, len(known)) for name in windows.index["stimulus"].astype(str)], dtype=np.int64)
