"""A single raw file, told by its content: BDF, pickled arrays, MATLAB, video, ratings, recordings of devices."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file
from himoe.datasets import DATASETS
from himoe.datasets.devices import ending_of, text_format
from himoe.datasets.devices.e4 import SENSORS
from himoe.inspection.devices import describe_device, endings
from himoe.inspection.products import FOLD_COLUMNS, describe_fold_table, describe_parquet

Report = dict[str, Any]
# set -> what its MATLAB variables are called
MAT_VARIABLES: Mapping[str, re.Pattern[str]] = {
    "dreamer": re.compile(r"DREAMER"), "seed": re.compile(r"\w+_eeg\d+|label"),
    "amigos": re.compile(r"joined_data|labels_selfassessment"),
}
# what a table is -> columns it must have, columns of numbers that are worth a summary
TABLES: Mapping[str, tuple[set[str], tuple[str, ...]]] = {
    "ratings of DEAP": ({"Participant_id", "Trial", "Experiment_id"}, ("Valence", "Arousal", "Dominance", "Liking")),
    "ratings of HKU956": ({"participant_id", "song_no", "song_id"}, ("valence_rating", "arousal_rating")),
    "continuous annotations": ({"participant", "video", "time_s"}, ("valence", "arousal", "dominance", "liking")),
    "ratings of a folder of one's own": ({"subject", "trial"}, ("valence", "arousal", "dominance", "liking")),
}
PERSON = ("Participant_id", "participant_id", "participant", "subject")


def describe_file(path: Path) -> Report:
    """Say what one file is, from its content.

    Raises
    ------
    InputError
        If it is empty, damaged, or of no known kind.
    """
    if require_file(path).stat().st_size == 0:
        raise bad_input(path, "0 bytes", "a file with content", "fetch it again")
    describe = KINDS.get(ending_of(path.name))
    if describe is None:
        raise _another_kind(path)
    return {**describe(path), "bytes": path.stat().st_size}


def _another_kind(path: Path) -> InputError:
    return bad_input(path, f"the ending {path.suffix!r}", "one of " + " ".join(KINDS),
                     "give a file of one of these kinds, or a folder")


def _txt(path: Path) -> Report:
    form = text_format(path)
    if form is None:
        raise _another_kind(path)
    return describe_device(path, form)


def _bdf(path: Path) -> Report:
    from himoe.datasets._bdf import read_header

    header = read_header(path)
    form = list(zip(header.units, (count / header.record_s for count in header.samples), strict=True))
    rows = [{"channels": form.count(one), "sfreq_hz": one[1], "unit": one[0] or "-",
             "names": [label or "(no name)" for label, other in zip(header.labels, form, strict=True) if other == one]}
            for one in dict.fromkeys(form)]
    sets = _sets_with(set(header.labels), path.suffix)
    return {"what": "BioSemi recording (BDF)", "file": str(path), "could be of": sets,
            "duration_s": header.n_records * header.record_s, "channels": rows}


def _sets_with(labels: set[str], suffix: str) -> str:
    """Sets that have files of this ending, and whose EEG channels are all among *labels*."""
    names = [name for name, dataset in DATASETS.items()
             if any(pattern.endswith(suffix.lower()) for pattern in dataset.patterns)
             and "EEG" in dataset.modalities and set(dataset.modalities["EEG"].names) <= labels]
    return " or ".join(names) or "no registered set (none has all its EEG channels here)"


def _pickle(path: Path) -> Report:
    from himoe.datasets._pickle import load_arrays
    from himoe.datasets.deap import DAT_SFREQ_HZ, DAT_SHAPE, RATING_COLUMNS

    content = load_arrays(path)
    arrays = content if isinstance(content, dict) else {}
    data, labels = arrays.get("data"), arrays.get("labels")
    n_ratings = len(RATING_COLUMNS)
    if not (isinstance(data, np.ndarray) and isinstance(labels, np.ndarray) and data.ndim == 3
            and data.shape[1:] == DAT_SHAPE and labels.shape == (len(data), n_ratings)):
        found = ", ".join(f"{key} {getattr(value, 'shape', type(value).__name__)}" for key, value in arrays.items())
        raise bad_input(path, f"a pickle of {found or type(content).__name__}",
                        f"data (trials, {DAT_SHAPE[0]}, {DAT_SHAPE[1]}) and labels (trials, {n_ratings}), as in DEAP",
                        "check where the file comes from")
    return {"what": "preprocessed recording of one person (pickled arrays)", "file": str(path), "could be of": "deap",
            "trials": len(data), "channels": data.shape[1], "samples": data.shape[2], "sfreq_hz": DAT_SFREQ_HZ,
            "gaps_percent": round(100 * float((~np.isfinite(data)).mean()), 2),
            "ratings": [_range_row(name, labels[:, k]) for k, name in enumerate(RATING_COLUMNS)]}


def _mat(path: Path) -> Report:
    import scipy.io

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a damaged file, told below
            variables = scipy.io.whosmat(path)
    except NotImplementedError as error:
        raise bad_input(path, "a MATLAB v7.3 (HDF5) file", "MATLAB v5, as the sets publish",
                        "save it with -v7 or fetch it again") from error
    except Exception as error:  # a damaged file can fail in any way at all
        raise bad_input(path, f"a file that cannot be read ({type(error).__name__}: {error})",
                        "a complete MATLAB v5 file", "the file is truncated or damaged; fetch it again") from error
    names = [name for name, _, _ in variables]
    sets = [key for key, pattern in MAT_VARIABLES.items() if any(pattern.fullmatch(name) for name in names)]
    if not sets:
        raise bad_input(path, f"variables {' '.join(names) or '(none)'}",
                        "those of a data set: " + ", ".join(f"{key} {p.pattern}" for key, p in MAT_VARIABLES.items()),
                        "check where the file comes from")
    return {"what": "MATLAB file", "file": str(path), "could be of": " or ".join(sets),
            "variables": [{"name": name, "shape": " x ".join(map(str, shape)), "kind": kind}
                          for name, shape, kind in variables]}


def _video(path: Path) -> Report:
    from himoe.prepare.faces.video import probe

    info = probe(path)
    return {"what": "video", "file": str(path), "frames": info.frames, "fps_hz": info.fps_hz,
            "width_px": info.width_px, "height_px": info.height_px, "duration_s": info.duration_s}


def _csv(path: Path) -> Report:
    from himoe.datasets.texttable import read_names, read_text_table, shown_names

    form = text_format(path)
    if form is not None:
        return describe_device(path, form)
    names, _ = read_names(path)
    columns = set(names)
    if columns >= FOLD_COLUMNS:
        return describe_fold_table(path)
    for what, (needed, numbers) in TABLES.items():
        if columns >= needed:
            there = [name for name in numbers if name in columns]
            person = next(name for name in PERSON if name in columns)
            table = read_text_table(path, (person,), there)
            return {"what": what, "file": str(path), "rows": table.n_rows, "people": len(set(table.texts[person])),
                    "columns": [_range_row(name, table.numbers[name]) for name in there]}
    if path.stem in SENSORS:
        raise bad_input(path, "one sensor of an Empatica E4", "the whole recording", f"give the folder: {path.parent}")
    raise bad_input(path, f"columns {shown_names(names, ' ')}",
                    "those of " + ", ".join(f"{what} ({' '.join(sorted(needed))} ...)"
                                            for what, (needed, _) in TABLES.items()) + " or a fold table",
                    "check where the file comes from")


def _range_row(name: str, values: np.ndarray) -> Report:
    known = values[np.isfinite(values)]
    return {"name": name, "lowest": float(known.min()) if known.size else None,
            "highest": float(known.max()) if known.size else None,
            "missing": f"{values.size - known.size} of {values.size}"}


KINDS: Mapping[str, Callable[[Path], Report]] = {
    ".bdf": _bdf, ".dat": _pickle, ".mat": _mat, ".csv": _csv, ".parquet": describe_parquet,
    ".avi": _video, ".mp4": _video, ".mov": _video, ".mkv": _video,
    **{ending: partial(describe_device, name=name) for ending, name in endings().items()
       if ending not in (".bdf", ".txt")},
    ".txt": _txt,
}
