"""The model to take along: weights, normaliser and a description, that predict for windows of anybody.

Legend: n windows, M modalities, C channels, W samples, D dimensions, G people of the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.core.checksums import SUMS, checked, write_sums
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, require_folder, write_json, write_text
from himoe.core.params import FilterParams
from himoe.models.batches import Assembler, Normaliser
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec
from himoe.prepare.folds import role_rows
from himoe.prepare.windowset import Windows
from himoe.training.applying import drop_modalities, prepare
from himoe.training.card import model_card
from himoe.training.conformal import bounds
from himoe.training.description import CONFIG, Description, read_description
from himoe.training.inference import TRAIN_AGAIN, EncodedFold, encode_rows, read_weights
from himoe.training.rundata import FoldTask, RunData

CARD = "README.md"
WEIGHTS = "weights.safetensors"
IDS = ["subject", "session", "trial", "stimulus", "window", "start_s"]
SAVE_AGAIN = "copy the model's folder again, or fit it again"


@dataclass(frozen=True)
class Fitted:
    """A fitted model: everything that predicts is in here, nothing is looked up elsewhere.

    Parameters
    ----------
    description : Description
        Method, modalities, preprocessing, scale, intervals, what it was fitted on.
    method : Method
        In evaluation mode.
    normaliser : Normaliser
        Means and SDs, (G + 1, C) by modality: of the people in ``description.people``, then of everybody.
    """

    description: Description
    method: Method
    normaliser: Normaliser
    history: pd.DataFrame = field(default_factory=pd.DataFrame)

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
            probability of *high*; of more the class), ``low``, ``high`` (NaN for classes; they aim at
            ``description.level``), and ``rating``, the label if there is one.

        Raises
        ------
        InputError
            If the windows are not of the model's form.
        """
        encoded, assembler, present = self.encode(windows, drop)
        values, rows = encoded.predict(present), encoded.rows
        return self.frame(windows.index, assembler.labels, rows, values, (~present[rows]).sum(1))

    def frame(self, index: pd.DataFrame, labels: np.ndarray, rows: np.ndarray, values: np.ndarray,
              absent: np.ndarray) -> pd.DataFrame:
        """The table of :meth:`predict` from predictions (k, D) of the windows *rows* (k,) of *index*."""
        form, dimensions = self.description, self.description.dimensions
        low, high = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        for d, name in enumerate(dimensions):
            if name in form.intervals:
                low[:, d], high[:, d] = bounds(values[:, d], absent, form.intervals[name], form.scale)
        frame = index.iloc[np.repeat(rows, len(dimensions))][IDS].reset_index(drop=True)
        return frame.assign(dimension=np.tile(np.array(dimensions, dtype=object), len(rows)),
                            predicted=values.reshape(-1), low=low.reshape(-1), high=high.reshape(-1),
                            rating=labels[rows].reshape(-1))

    def encode(self, windows: Windows, drop: Sequence[str] = ()) -> tuple[EncodedFold, Assembler, np.ndarray]:
        """The windows' codes, what made batches of them, and what is present (n, M) without *drop*."""
        assembler = prepare(self.description, self.normaliser, windows)
        present = assembler.present & ~drop_modalities(self.description, drop)
        rows = np.flatnonzero(present.any(1))
        return encode_rows(self.method, assembler, rows, self.description.sequence_length), assembler, present

    def tensors(self) -> dict[str, Tensor]:
        """What ``weights.safetensors`` holds."""
        return {name: value.detach().cpu().contiguous() for name, value in self.method.state_dict().items()
                } | self.normaliser.tensors()

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

    def write(self, folder: Path) -> None:
        """The two files that are the model."""
        from safetensors.torch import save_file

        save_file(self.tensors(), folder / WEIGHTS)
        write_json(folder / CONFIG, finite(self.description.as_json()))


def require_model_place(folder: Path | str) -> Path:
    """The place for a model's folder: nothing is there yet, or an older model; InputError for anything else."""
    folder = Path(folder)
    if folder.exists() and not (folder / CONFIG).is_file():
        raise bad_input(folder, "something that is no model", "a new name, or an older model", "choose another place")
    return folder


def finite(values: object) -> object:
    """JSON has no infinity: an interval without an end is written as the text ``inf``."""
    if isinstance(values, Mapping):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    return "inf" if isinstance(values, float) and np.isinf(values) else values


def load_model(folder: Path | str) -> Fitted:
    """Load a model that :meth:`Fitted.save` wrote, or one model of a run (``runs/<run>/fold-00_seed-0``).

    No code is run and nothing is unpickled: ``config.json`` is plain data, the weights are safetensors.

    Raises
    ------
    InputError
        If a file is missing, damaged, of another version, or weights and description do not fit each other.
    """
    folder = require_folder(Path(folder))
    if not (folder / CONFIG).is_file():
        inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
        todo = f"choose one of its models: {', '.join(inside[:5])}" if inside else "give the folder of a saved model"
        raise bad_input(folder, f"no {CONFIG}", "a model's folder", todo)
    if (folder / SUMS).is_file() or (folder.parent / SUMS).is_file():
        checked(folder / CONFIG, SAVE_AGAIN)
    description = read_description(folder)
    return from_tensors(description, read_weights(folder / WEIGHTS), folder)


def from_tensors(description: Description, tensors: Mapping[str, Tensor], where: Path | str) -> Fitted:
    """The model of a description and its tensors; InputError if they do not fit each other."""
    expected = {f"normaliser.{m}.{kind}": (len(description.people) + 1, shape.channels)
                for m, shape in description.shapes.items() for kind in ("mean", "spread")}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith("normaliser.")}
    if found != expected:
        raise bad_input(f"{where}: normaliser in {WEIGHTS}", found, expected, SAVE_AGAIN)
    method = new_method(description)
    try:
        method.load_state_dict({name: value for name, value in tensors.items() if name not in expected})
    except RuntimeError as error:
        raise bad_input(f"{where}: {WEIGHTS}", error, f"the tensors of {description.method} as {CONFIG} describes it",
                        SAVE_AGAIN) from error
    return Fitted(description, method.eval(), Normaliser.from_tensors(tensors))


def new_method(description: Description) -> Method:
    """The method that a description names, with its first weights."""
    spec = Spec(description.shapes, description.task, description.model, description.alignment, description.step_s,
                len(description.people))
    with torch.random.fork_rng(devices=[]):
        return build_method(description.method, spec)


def encode_fold(model: Fitted, data: RunData, task: FoldTask, role: str = "test") -> EncodedFold:
    """Encode the windows of a fold's *role* that have any signal, as the run that fitted *model* sees them.

    Raises
    ------
    InputError
        If the model is of other data or another run.
    """
    form, index = model.description, data.store.index
    found = (tuple(form.modalities), form.people, form.shapes)
    if found != (tuple(data.store.arrays), names_of(index["subject"]), {m: data.store.meta.shape(m) for m in found[0]}):
        raise bad_input(f"model of {task.name}", f"{'+'.join(form.modalities)} of {len(form.people)} people",
                        f"{'+'.join(data.store.arrays)} of {index['subject'].nunique()}, with the run's shapes",
                        TRAIN_AGAIN)
    rows = role_rows(index, data.folds, task.fold, role)
    return encode_rows(model.method, data.assembler(model.normaliser), rows[data.present[rows].any(1)],
                       form.sequence_length)


def names_of(column: pd.Series) -> tuple[str, ...]:
    """Names in the order of their codes (:func:`himoe.models.batches.codes`)."""
    return tuple(str(name) for name in np.unique(column.to_numpy(str)))
