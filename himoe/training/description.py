"""What a fitted model says of itself: everything that is needed to use it anywhere, as one JSON document.

Legend: M modalities, D dimensions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from himoe import __version__
from himoe.core.errors import bad_input
from himoe.core.files import read_json
from himoe.core.params import NORMALISE, TASKS, AlignmentParams, Count, FilterParams, ModelParams, Positive
from himoe.core.parsing import check, checked, parse
from himoe.core.recordings import MODALITIES
from himoe.models.batches import ModalityShape, Task
from himoe.models.methods import method_names
from himoe.training.calibration import Calibration

FORMAT = 1
CONFIG = "config.json"


class Endless:
    """Said beside a number that may be infinite: JSON has no infinity, so the text ``inf`` is one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(
            lambda value: math.inf if value == "inf" else value, {**handler(source), "allow_inf_nan": True})


@checked
@dataclass(frozen=True)
class ModalityForm:
    """One modality's windows as they come in: channels, samples per window, rate in Hz, unit; its filter, if known.

    ``features``: names of the features that the model reads instead of the windows (``himoe.prepare.features``).
    """

    channels: tuple[str, ...]
    samples: Count
    sfreq_hz: Positive
    unit: str
    features: tuple[str, ...] = ()
    filter: FilterParams | None = None

    def read_shape(self, length_s: float) -> ModalityShape:
        """The shape that the model reads."""
        if self.features:
            return ModalityShape(len(self.features), 1, 1 / length_s, self.features)
        return ModalityShape(len(self.channels), self.samples, self.sfreq_hz, self.channels)


@checked
@dataclass(frozen=True)
class Description:
    """A fitted model's ``config.json``.

    ``people`` and ``stimuli`` are those of the training rows, in the order of the weights' tables; ``normalise`` says
    how signals of people are scaled who are not among them: ``person`` = by their own unlabelled windows, ``training``
    = by the statistics of all training rows. ``intervals`` maps a dimension to half widths (rating scale) by number of
    absent modalities, ``level`` is what they aim at. ``calibrations`` are those of people the model was adapted to,
    who stand last in ``people``. ``data`` says what it was fitted on, ``scores`` how it did.
    """

    method: str
    model: ModelParams
    alignment: AlignmentParams
    kind: str
    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    thresholds: tuple[float, ...]
    modalities: Mapping[str, ModalityForm]
    length_s: Positive
    step_s: Positive
    min_completeness: float
    sequence_length: Count
    normalise: str
    people: tuple[str, ...]
    stimuli: tuple[str, ...]
    features_normalise: str = "none"
    level: float = 0.9
    calibrations: tuple[Calibration, ...] = ()
    intervals: Mapping[str, tuple[Annotated[float, Endless()], ...]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in (("method", method_names()), ("kind", TASKS), ("normalise", NORMALISE)):
            check(getattr(self, name) in known, name, getattr(self, name), f"one of {', '.join(known)}")
        for name in self.modalities:
            check(name in MODALITIES, "modalities", name, f"one of {' '.join(MODALITIES)}")
        for one in self.calibrations:
            check({len(one.centre), len(one.shift), len(one.slope)} == {len(self.dimensions)}, "calibrations",
                  f"{len(one.shift)} shifts and {len(one.slope)} slopes of {one.person}",
                  f"{len(self.dimensions)} of each, one per dimension")
        last = tuple(one.person for one in self.calibrations)
        check(last == self.people[self.trained_people:], "calibrations", last, "the last of people")

    @property
    def task(self) -> Task:
        """What is predicted."""
        return Task(self.kind, self.dimensions, self.scale, self.thresholds)

    @property
    def shapes(self) -> dict[str, ModalityShape]:
        """What the model reads of each modality."""
        return {name: form.read_shape(self.length_s) for name, form in self.modalities.items()}

    @property
    def trained_people(self) -> int:
        """How many of ``people`` the weights were trained on; those adapted to come after."""
        return len(self.people) - len(self.calibrations)

    def codes(self, set_name: str) -> dict[str, int]:
        """Place in ``people`` by name, of those known from the data set *set_name*.

        A name counts only in the data set it was given in: ``s01`` of another set is somebody else.
        """
        sets = [self.data.get("set")] * self.trained_people + [one.set for one in self.calibrations]
        return {name: code for code, (name, known) in enumerate(zip(self.people, sets, strict=True))
                if known == set_name}

    def as_json(self) -> dict[str, Any]:
        """As plain values, with the format's number and the library's version."""
        return {"format": FORMAT, "himoe": __version__, **asdict(self)}


def content_digest(arrays: Mapping[str, Any], labels: np.ndarray, rows: np.ndarray | None = None) -> str:
    """SHA-256 of what a model was fitted on: every modality's windows (n, ...) and their labels; None = all rows."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(name.encode())
        chosen = np.arange(len(array)) if rows is None else rows
        for block in np.array_split(chosen, max(1, len(chosen) // 512)):  # arrays may lie on disk
            found.update(np.ascontiguousarray(array[block]).tobytes())
    found.update(np.ascontiguousarray(labels if rows is None else labels[rows]).tobytes())
    return found.hexdigest()


def read_description(folder: Path) -> Description:
    """Read ``config.json``: plain data, checked field by field; nothing in it is run.

    Raises
    ------
    InputError
        If it is missing, of another format, or a field is not what it should be.
    """
    path = folder / CONFIG
    values = read_json(path)
    todo = "save the model again with this version of himoe"
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise bad_input(f"{path}: format", repr(found), FORMAT, f"{todo}, or install the version that wrote it "
                        f"({values.get('himoe', 'unknown') if isinstance(values, dict) else 'unknown'})")
    return parse(Description, {name: value for name, value in values.items() if name not in ("format", "himoe")}, path)
