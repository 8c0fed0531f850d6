"""What a fitted model says of itself: everything that is needed to use it anywhere, as one JSON document.

Legend: M modalities, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from himoe import __version__
from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json
from himoe.core.params import NORMALISE, AlignmentParams, FilterParams, ModelParams
from himoe.core.parsing import parse
from himoe.core.recordings import check_modality
from himoe.models.batches import ModalityShape, Task
from himoe.models.methods import method_names
from himoe.training.calibration import Calibration

FORMAT = 1
CONFIG = "config.json"


@dataclass(frozen=True)
class ModalityForm:
    """One modality's windows as they come in: channels, samples per window, rate in Hz, unit; its filter, if known.

    ``features``: names of the features that the model reads instead of the windows (``himoe.prepare.features``).
    """

    channels: tuple[str, ...]
    samples: int
    sfreq_hz: float
    unit: str
    features: tuple[str, ...] = ()
    filter: FilterParams | None = None

    def read_shape(self, length_s: float) -> ModalityShape:
        """The shape that the model reads."""
        if self.features:
            return ModalityShape(len(self.features), 1, 1 / length_s, self.features)
        return ModalityShape(len(self.channels), self.samples, self.sfreq_hz, self.channels)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """The fields of a :class:`Description` whose types say all: :func:`himoe.core.parsing.parse` reads them."""

    method: str
    model: ModelParams
    alignment: AlignmentParams
    kind: str
    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    thresholds: tuple[float, ...]
    length_s: float
    step_s: float
    min_completeness: float
    sequence_length: int
    normalise: str
    people: tuple[str, ...]
    stimuli: tuple[str, ...]
    features_normalise: str
    level: float
    calibrations: tuple[Calibration, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description(Plain):
    """A fitted model's ``config.json``.

    ``people`` and ``stimuli`` are those of the training rows, in the order of the weights' tables; ``normalise`` says
    how signals of people are scaled who are not among them: ``person`` = by their own unlabelled windows, ``training``
    = by the statistics of all training rows. ``intervals`` maps a dimension to half widths (rating scale) by number of
    absent modalities, ``level`` is what they aim at. ``calibrations`` are those of people the model was adapted to,
    who stand last in ``people``. ``data`` says what it was fitted on, ``scores`` how it did.
    """

    modalities: Mapping[str, ModalityForm]
    intervals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)

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
    try:
        return _parsed({name: value for name, value in values.items() if name not in ("format", "himoe")})
    except InputError as error:
        text = str(error).removeprefix("params.yaml: ")
        raise InputError(f"{path}: {text}") from error
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise bad_input(path, f"a field that cannot be read ({error})", "a model's description", todo) from error


def _parsed(values: dict[str, Any]) -> Description:
    forms = {check_modality(name): parse(ModalityForm, entry, f"modalities.{name}")
             for name, entry in values.pop("modalities").items()}
    maps: dict[str, Any] = {name: dict(values.pop(name, {})) for name in ("data", "training", "scores")}
    intervals = {str(name): tuple(map(float, widths)) for name, widths in values.pop("intervals", {}).items()}
    found = parse(Plain, values, "config.json")
    if found.method not in method_names():
        raise bad_input("method", repr(found.method), f"one of {', '.join(method_names())}",
                        "install the version that wrote the model")
    if found.normalise not in NORMALISE:
        raise bad_input("normalise", repr(found.normalise), " or ".join(NORMALISE), "save the model again")
    for one in found.calibrations:
        if {len(one.centre), len(one.shift), len(one.slope)} != {len(found.dimensions)}:
            raise bad_input("calibrations", f"{len(one.shift)} shifts and {len(one.slope)} slopes of {one.person}",
                            f"{len(found.dimensions)} of each, one per dimension", "save the model again")
    if tuple(one.person for one in found.calibrations) != found.people[len(found.people) - len(found.calibrations):]:
        raise bad_input("calibrations", " ".join(one.person for one in found.calibrations), "the last of people",
                        "save the model again")
    known = {one.name: getattr(found, one.name) for one in fields(Plain)}
    return Description(**known, **maps, modalities=forms, intervals=intervals)

