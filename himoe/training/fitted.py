"""The model to take along: what a fit leaves, with all that a user does with it.

Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from himoe.core.checksums import write_sums
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, write_text
from himoe.core.params import FilterParams
from himoe.models.batches import Assembler
from himoe.prepare.windows import ID_COLUMNS
from himoe.prepare.windowset import Windows
from himoe.scoring.frames import probability_column
from himoe.training.applying import drop_modalities, prepare
from himoe.training.card import model_card
from himoe.training.conformal import bounds
from himoe.training.description import CONFIG
from himoe.training.inference import EncodedFold, encode_rows
from himoe.training.model import Model

CARD = "README.md"


class Fitted(Model):
    """A fitted model that predicts for windows of anybody: ``model = himoe.load_model(folder)``."""

    @property
    def filters(self) -> dict[str, FilterParams]:
        """Target rate and pass band by modality: what ``make_windows`` needs to make windows for this model."""
        return {name: form.filter or FilterParams() for name, form in self.description.modalities.items()}

    def predict(self, windows: Windows, drop: Sequence[str] = ()) -> pd.DataFrame:
        """Predictions with intervals for every window in which a sensor is alive.

        Parameters
        ----------
        windows : Windows
            Of the length and step the model was fitted with. A modality that is not there is taken as missing; people
            the model has never met are scaled as ``description.normalise`` says.
        drop : sequence of str
            Modalities to do without.

        Returns
        -------
        DataFrame
            One row per window and dimension: ids, ``start_s``, ``dimension``, ``predicted`` (rating; of two classes the
            probability of *high*; of more the class), ``low``, ``high`` (they aim at ``description.level``), and
            ``rating``, the label if there is one. A model of K classes, numbered from 0, the lowest ratings, has
            ``class``, the most probable one, and ``probability_0`` to ``probability_<K - 1>`` in place of ``low`` and
            ``high``; its ``rating`` is a class.

        Raises
        ------
        InputError
            If the windows are not of the model's form.
        """
        encoded, assembler, present = self.encode(windows, drop)
        outputs, rows, dimensions = encoded.outputs(present), encoded.rows, self.description.dimensions
        values = encoded.flatten(outputs)
        if self.description.kind == "regression":
            beside = self._ends(values, (~present[rows]).sum(1))
        else:
            found = encoded.probabilities(outputs)
            beside = {"class": found.argmax(-1).reshape(-1),
                      **{probability_column(k): found[..., k].reshape(-1) for k in range(found.shape[-1])}}
        frame = windows.index.iloc[np.repeat(rows, len(dimensions))][list(ID_COLUMNS)].reset_index(drop=True)
        return frame.assign(dimension=np.tile(np.array(dimensions, dtype=object), len(rows)),
                            predicted=values.reshape(-1), **beside, rating=assembler.labels[rows].reshape(-1))

    def _ends(self, values: np.ndarray, absent: np.ndarray) -> dict[str, np.ndarray]:
        """Both ends (k·D,) of the intervals about predictions (k, D) of windows that lack *absent* (k,) sensors."""
        form, low, high = self.description, np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        for d, name in enumerate(form.dimensions):
            if name in form.intervals:
                low[:, d], high[:, d] = bounds(values[:, d], absent, form.intervals[name], form.scale)
        return {"low": low.reshape(-1), "high": high.reshape(-1)}

    def explain(self, windows: Windows) -> pd.DataFrame:
        """Which sensor and which experts speak when: :func:`himoe.training.explaining.explain`."""
        from himoe.training.explaining import explain

        return explain(self, windows)

    def encode(self, windows: Windows, drop: Sequence[str] = ()) -> tuple[EncodedFold, Assembler, np.ndarray]:
        """The windows' codes, what made batches of them, and what is present (n, M) without *drop*."""
        assembler = prepare(self.description, self.normaliser, windows)
        present = assembler.present & ~drop_modalities(self.description, drop)
        rows = np.flatnonzero(present.any(1))
        encoded = encode_rows(self.method, assembler, rows, self.description.sequence_length)
        theirs = assembler.subject[encoded.rows]
        own = [(theirs == code, calibration) for code, calibration in
               enumerate(self.description.calibrations, self.description.trained_people)]
        return replace(encoded, own=[(rows, one) for rows, one in own if rows.any()]), assembler, present

    def adapt(self, windows: Windows, labels: Mapping[str, Mapping[str, float]] | None = None) -> Fitted:
        """A model of one new person: scaled by own windows, tuned by few rated trials.

        See :func:`himoe.training.adapting.adapt`; this model stays as it is.
        """
        from himoe.training.adapting import adapt

        return adapt(self, windows, labels)

    def export(self, path: Path | str) -> Path:
        """Write the network as one file for other runtimes: :func:`himoe.training.exporting.export`."""
        from himoe.training.exporting import export

        return export(self, path)

    def save(self, folder: Path | str) -> Path:
        """Write the model as a folder: ``config.json``, ``weights.safetensors``, a model card, checksums.

        Raises
        ------
        InputError
            If something else stands there.
        """
        folder = require_model_place(folder)
        with atomic_path(folder) as made:
            made.mkdir(parents=True)
            self.write(made)
            if len(self.history):
                self.history.to_csv(made / "history.csv", index=False)
            write_text(made / CARD, model_card(self.description))
            write_sums(made)
        return folder


def require_model_place(folder: Path | str) -> Path:
    """The place for a model's folder: nothing is there yet, or an older model; InputError for anything else."""
    folder = Path(folder)
    if folder.exists() and not (folder / CONFIG).is_file():
        raise bad_input(folder, "something that is no model", "a new name, or an older model", "choose another place")
    return folder



def load_model(folder: Path | str) -> Fitted:
    """Load a model that :meth:`Fitted.save` wrote, or one model of a run (``runs/<run>/fold-00_seed-0``).

    No code is run and nothing is unpickled: ``config.json`` is plain data, the weights are safetensors.

    Raises
    ------
    InputError
        If a file is missing, damaged, of another version, or weights and description do not fit each other.
    """
    return Fitted.read(folder)
