"""What a fit leaves: weights, a normaliser and a description that fit each other.

:class:`himoe.training.fitted.Fitted` is the same with all that a user does with it; stages that fit and score need no
more than this, and so do not depend on how windows are made.

Legend: n windows, C channels, G people of the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.core.checksums import SUMS, checked
from himoe.core.errors import bad_input
from himoe.core.files import require_folder, write_json
from himoe.models.batches import Normaliser
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec
from himoe.prepare.folds import role_rows
from himoe.training.description import CONFIG, Description, read_description
from himoe.training.inference import CPU, TRAIN_AGAIN, EncodedFold, encode_rows, read_weights
from himoe.training.people import numbered, person_codes, with_strangers
from himoe.training.rundata import FoldTask, RunData

WEIGHTS = "weights.safetensors"
SAVE_AGAIN = "copy the model's folder again, or fit it again"


@dataclass(frozen=True)
class Model:
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

    def tensors(self) -> dict[str, Tensor]:
        """What ``weights.safetensors`` holds."""
        return {name: value.detach().cpu().contiguous() for name, value in self.method.state_dict().items()
                } | self.normaliser.tensors()

    def write(self, folder: Path) -> None:
        """The two files that are the model."""
        from safetensors.torch import save_file

        save_file(self.tensors(), folder / WEIGHTS)
        write_json(folder / CONFIG, finite(self.description.as_json()))

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """Undo :meth:`write`; InputError as :func:`himoe.training.fitted.load_model` says."""
        folder = require_folder(Path(folder))
        if not (folder / CONFIG).is_file():
            inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
            todo = f"choose one of its models: {', '.join(inside[:5])}" if inside else "give a saved model's folder"
            raise bad_input(folder, f"no {CONFIG}", "a model's folder", todo)
        if (folder / SUMS).is_file() or (folder.parent / SUMS).is_file():
            checked(folder / CONFIG, SAVE_AGAIN)
        found = from_tensors(read_description(folder), read_weights(folder / WEIGHTS), folder)
        return cls(found.description, found.method, found.normaliser)


def finite(values: object) -> object:
    """JSON has no infinity: an interval without an end is written as the text ``inf``."""
    if isinstance(values, Mapping):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    return "inf" if isinstance(values, float) and np.isinf(values) else values


def from_tensors(description: Description, tensors: Mapping[str, Tensor], where: Path | str) -> Model:
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
    return Model(description, method.eval(), Normaliser.from_tensors(tensors))


def new_method(description: Description) -> Method:
    """The method that a description names, with its first weights."""
    spec = Spec(description.shapes, description.task, description.model, description.alignment, description.step_s,
                description.trained_people)
    with torch.random.fork_rng(devices=[]):
        return build_method(description.method, spec)


def encode_fold(model: Model, data: RunData, task: FoldTask, role: str = "test",
                device: torch.device = CPU) -> EncodedFold:
    """Encode the windows of a fold's *role* that have any signal, as the run that fitted *model* sees them.

    People whom the model does not know are scaled as it says: by their own windows of that role, or by everybody's.

    Raises
    ------
    InputError
        If the model is of other data or another run.
    """
    form, index = model.description, data.store.index
    found, names = (tuple(form.modalities), form.shapes), index["subject"].to_numpy(str)
    expected = (tuple(data.store.arrays), {m: data.store.meta.shape(m) for m in data.store.arrays})
    if found != expected or not set(form.people) <= set(names):
        raise bad_input(f"model of {task.name}", f"{'+'.join(form.modalities)} of {len(form.people)} people",
                        f"{'+'.join(data.store.arrays)} of {index['subject'].nunique()}, with the run's shapes",
                        TRAIN_AGAIN)
    rows = role_rows(index, data.folds, task.fold, role)
    codes = person_codes(names, numbered(form.people), len(form.people), form.normalise)
    normaliser = with_strangers(model.normaliser, data.store, rows, data.present, codes)
    return encode_rows(model.method, data.assembler(normaliser, codes), rows[data.present[rows].any(1)],
                       form.sequence_length, device)
