"""Raw files in the layouts of DEAP and DREAMER: same names, keys, shapes, channel names and event codes.

Legend: C channels, N samples, n trials.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, write_text
from himoe.datasets import deap, dreamer
from himoe.datasets._annotations import FILE as ANNOTATIONS_FILE
from himoe.datasets._annotations import KEYS as ANNOTATION_KEYS
from himoe.simulate.bdf import DIGITAL_RANGE, SYMMETRIC_RANGE, BdfChannel, symmetric_range, write_bdf

# the range of a BioSemi amplifier
BIOSEMI_UV = (-262144.0, 262143.0)
BDF_SHAPES = {"EEG": (len(deap.EEG_GENEVA),), "EXG": (len(deap.EXG),), "EDA": (), "RSP": (), "PPG": (), "TEMP": ()}
PULSE_S = 0.05
# what BioSemi keeps in the high bits: the open upper trigger byte, and "CM in range"
STATUS_STATE = 0xFF00 | 1 << 20
FIXATION_S, SYNC_S, RATING_S = 5.0, 8.0, 3.0
RATING_COLUMNS = ("Participant_id", "Trial", "Experiment_id", "Start_time", *deap.RATING_COLUMNS.values(),
                  "Familiarity")
MAT_HEADER = b"MATLAB 5.0 MAT-file, simulated recording".ljust(116)


def write_deap_bdf(root: Path, participant: int, signals: Mapping[str, np.ndarray], sfreq_hz: float,
                   music_start_s: Sequence[float]) -> None:
    """Write ``data_original/sNN.bdf``.

    Parameters
    ----------
    root : Path
    participant : int
        1 to 32; from 23 on the file looks like a Geneva one (channel order, skin conductance in nS).
    signals : {name: ndarray}
        EEG (32, N) uV in the Geneva order, EXG (8, N) uV, EDA (N,) uS, RSP (N,) a.u., PPG (N,) a.u.,
        TEMP (N,) degC, all finite. A skin conductance of 0 or below is stored as 0: a lost sensor.
    sfreq_hz : float
    music_start_s : sequence of float
        Starts of the trials in presentation order, in seconds.

    Raises
    ------
    InputError
        If a signal is missing, has another shape, is not finite or does not fit the format.
    """
    path = _participant_path(root, participant, "bdf")
    n_samples = _check_bdf_signals(signals)
    status = status_codes(n_samples, sfreq_hz, music_start_s)
    twente = participant <= deap.LAST_TWENTE
    channels = [_channel(name, "uV", signals["EEG"][deap.EEG_GENEVA.index(name)], BIOSEMI_UV)
                for name in (deap.EEG_TWENTE if twente else deap.EEG_GENEVA)]
    channels += [_channel(name, "uV", row, BIOSEMI_UV) for name, row in zip(deap.EXG, signals["EXG"])]
    silent = np.zeros(n_samples, dtype=np.int8)
    channels.append(_skin_channel(signals["EDA"], "Ohm" if twente else "nS"))
    channels += [_channel(name, "uV", silent, BIOSEMI_UV) for name in deap.BDF_OTHER]
    units = {"RSP": "a.u.", "PPG": "a.u.", "TEMP": "degC"}
    channels += [_channel(deap.SINGLE[modality], unit, signals[modality]) for modality, unit in units.items()]
    low, high = DIGITAL_RANGE
    channels.append(BdfChannel(_status_label(participant), "Boolean", (float(low), float(high)),
                               lambda first, last: status[first:last]))
    write_bdf(path, channels, sfreq_hz, n_samples)


def status_codes(n_samples: int, sfreq_hz: float, music_start_s: Sequence[float]) -> np.ndarray:
    """The Status channel, (N,) int32: DEAP's event codes as short pulses over BioSemi's state bits.

    1 start, 1 baseline, 2 synchronisation (before the first and after the last trial), and for each trial
    3 fixation, 4 music, 5 fixation, 1 rating; 7 end. A code that would fall outside the recording is left
    out, except 4.
    """
    starts_s = np.asarray(music_start_s, dtype=np.float64)
    ends_s = starts_s + deap.TRIAL_S
    if starts_s.size == 0 or not (starts_s[0] >= 0 and starts_s[-1] < n_samples / sfreq_hz
                                  and np.all(np.diff(starts_s) >= 1)):
        raise bad_input("music_start_s", f"{starts_s.tolist()} in a recording of {n_samples / sfreq_hz:g} s",
                        "increasing times at least 1 s apart inside the recording", "correct the times")
    pulse = max(1, round(PULSE_S * sfreq_hz))
    codes = np.zeros(n_samples, dtype=np.int32)
    events = [(0.0, 1), (2.0, 1), (starts_s[0] - SYNC_S, 2), (ends_s[-1] + 2 * RATING_S, 2)]
    events += [(start_s - FIXATION_S, 3) for start_s in starts_s]
    events += [(end_s, 5) for end_s in ends_s] + [(end_s + RATING_S, 1) for end_s in ends_s]
    events += [(n_samples / sfreq_hz - 2 * PULSE_S, 7)]
    # music last: no other code may hide it
    for time_s, code in [*events, *((start_s, deap.MUSIC_START) for start_s in starts_s)]:
        first = round(time_s * sfreq_hz)
        if first >= 0:
            codes[first:first + pulse] = code
    return codes | STATUS_STATE


def write_deap_dat(root: Path, participant: int, data: np.ndarray, labels: np.ndarray) -> None:
    """Write ``data_preprocessed_python/sNN.dat``: data (n, 40, 8064) float64, labels (n, 4) float64.

    The pickle is of protocol 2 and holds byte strings, as Python 2 writes it.
    """
    path = _participant_path(root, participant, "dat")
    for name, array, shape in (("data", data, deap.DAT_SHAPE), ("labels", labels, (len(deap.RATING_COLUMNS),))):
        if array.shape != (len(data), *shape) or array.dtype != np.float64:
            raise bad_input(f"{path.name}, {name}", f"shape {array.shape} of {array.dtype}",
                            f"{(len(data), *shape)} of float64", "reshape or convert the array")
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.write(pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK)
        for name, array in (("labels", labels), ("data", data)):
            stream.write(_short_string(name.encode("ascii")))
            _pickle_array(stream, array)
        stream.write(pickle.SETITEMS + pickle.STOP)


def write_deap_ratings(root: Path, table: pd.DataFrame) -> None:
    """Write ``metadata_csv/participant_ratings.csv``; NaN (Familiarity) becomes an empty cell."""
    path = Path(root) / deap.RATINGS_FILE
    _check_columns(table, RATING_COLUMNS, path.name)
    write_text(path, table[list(RATING_COLUMNS)].to_csv(index=False, lineterminator="\n"))


def write_annotations(root: Path, table: pd.DataFrame) -> None:
    """Write ``continuous_annotations.csv``: participant, video, time_s and dimensions, 4 decimals."""
    path = Path(root) / ANNOTATIONS_FILE
    _check_columns(table, ANNOTATION_KEYS, path.name)
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.4f"))


def write_dreamer(root: Path, people: Sequence[Mapping[str, Any]]) -> None:
    """Write ``DREAMER.mat`` (MATLAB v5) in the published nesting of structs and cells.

    Parameters
    ----------
    root : Path
    people : sequence of mappings
        Each with Age, Gender, eeg and eeg_baseline (lists of (N, 14) arrays), ecg and ecg_baseline (lists of
        (N, 2) arrays), valence, arousal and dominance (clips,).

    Raises
    ------
    InputError
        If there is nobody, or the numbers of clips differ.
    """
    import scipy.io

    if not people:
        raise bad_input("write_dreamer, people", "nobody", "at least one person", "give one")
    n_clips = len(people[0]["eeg"])
    content = {
        "Data": _cells([_person(person, n_clips, f"write_dreamer, person {number}")
                        for number, person in enumerate(people, start=1)]).T,
        "EEG_SamplingRate": 128.0, "ECG_SamplingRate": 256.0, "EEG_Electrodes": _cells(dreamer.EEG_CHANNELS).T,
        "noOfSubjects": float(len(people)), "noOfVideoSequences": float(n_clips),
    }
    with atomic_path(Path(root) / dreamer.FILE) as temporary:
        with open(temporary, "wb") as stream:
            scipy.io.savemat(stream, {"DREAMER": content})
        with open(temporary, "r+b") as stream:
            stream.write(MAT_HEADER)  # scipy writes the time of day here


def _participant_path(root: Path, participant: int, layout: str) -> Path:
    if not 1 <= participant <= deap.N_PARTICIPANTS:
        raise bad_input("DEAP participant", participant, f"1 to {deap.N_PARTICIPANTS}", "correct the number")
    folder, ending = deap.LAYOUTS[layout]
    return Path(root) / folder / f"s{participant:02d}{ending}"


# Layout bdf

def _check_bdf_signals(signals: Mapping[str, np.ndarray]) -> int:
    """The number of samples, if every signal is there, finite and of its shape."""
    for name, shape in BDF_SHAPES.items():
        if name not in signals:
            raise bad_input("write_deap_bdf, signals", " ".join(signals), " ".join(BDF_SHAPES), f"add {name}")
        expected = (*shape, signals["EEG"].shape[-1])
        if signals[name].shape != expected:
            raise bad_input(f"write_deap_bdf, {name}", f"shape {signals[name].shape}", str(expected),
                            "reshape the signal")
    return signals["EEG"].shape[-1]


def _status_label(participant: int) -> str:
    """Some Geneva files lack the name; here one participant in three."""
    return "" if participant > deap.LAST_TWENTE and participant % 3 == 0 else "Status"


def _highest(values: np.ndarray) -> float:
    return float(max(values.max(), -values.min()))


def _channel(label: str, unit: str, values: np.ndarray, least: tuple[float, float] | None = None) -> BdfChannel:
    """A channel whose range is *least*, or wider where the values ask for it."""
    highest = _highest(values)
    limits, stored = symmetric_range(highest, f"write_deap_bdf, channel {label}"), SYMMETRIC_RANGE
    if least is not None and highest < min(-least[0], least[1]):
        limits, stored = least, DIGITAL_RANGE
    return BdfChannel(label, unit, limits, lambda first, last: values[first:last], stored)


def _skin_channel(conductance_us: np.ndarray, unit: str) -> BdfChannel:
    """GSR1 in the site's unit; 0 where the sensor was lost."""
    def values(first: int, last: int) -> np.ndarray:
        piece = conductance_us[first:last].astype(np.float64)
        live = piece > 0
        scaled = 1e6 / np.where(live, piece, 1.0) if unit == "Ohm" else piece * 1e3
        return np.where(live, scaled, 0.0)

    step = 1 << 16
    highest = max(_highest(values(first, first + step)) for first in range(0, conductance_us.size, step))
    if not np.isfinite(conductance_us).all():
        highest = np.nan
    return BdfChannel(deap.SINGLE["EDA"], unit, symmetric_range(highest, "write_deap_bdf, EDA"), values,
                      SYMMETRIC_RANGE)


# Layout dat: the opcodes Python 2 uses for an array (its byte strings have no opcode in Python 3's pickler)

def _short_string(value: bytes) -> bytes:
    return pickle.SHORT_BINSTRING + bytes([len(value)]) + value


def _small_int(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)


def _name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii")


def _pickle_array(stream: BinaryIO, array: np.ndarray) -> None:
    """``_reconstruct(ndarray, (0,), 'b')``, then the state (1, shape, dtype, Fortran order, bytes)."""
    dtype = (_name("numpy", "dtype") + _short_string(b"f8") + _small_int(0) + _small_int(1) + pickle.TUPLE3
             + pickle.REDUCE + pickle.MARK + _small_int(3) + _short_string(b"<") + pickle.NONE * 3
             + _small_int(-1) * 2 + _small_int(0) + pickle.TUPLE + pickle.BUILD)
    shape = pickle.MARK + b"".join(map(_small_int, array.shape)) + pickle.TUPLE
    raw = np.ascontiguousarray(array, dtype="<f8").reshape(-1).view(np.uint8).data
    stream.write(_name("numpy.core.multiarray", "_reconstruct") + _name("numpy", "ndarray") + _small_int(0)
                 + pickle.TUPLE1 + _short_string(b"b") + pickle.TUPLE3 + pickle.REDUCE
                 + pickle.MARK + _small_int(1) + shape + dtype + pickle.NEWFALSE
                 + pickle.BINSTRING + struct.pack("<i", raw.nbytes))
    stream.write(raw)
    stream.write(pickle.TUPLE + pickle.BUILD)


# DREAMER

def _cells(values: Sequence[Any]) -> np.ndarray:
    """A cell column, (count, 1)."""
    column = np.empty((len(values), 1), dtype=object)
    for row, value in enumerate(values):
        column[row, 0] = value
    return column


def _person(person: Mapping[str, Any], n_clips: int, where: str) -> dict[str, Any]:
    for name in ("eeg", "eeg_baseline", "ecg", "ecg_baseline", *dreamer.SCORES):
        if len(person[name]) != n_clips:
            raise bad_input(f"{where}, {name}", f"{len(person[name])} clips", f"{n_clips}, as the first person's EEG",
                            "give every person the same clips")
    struct_of = {modality: {"baseline": _cells(person[f"{key}_baseline"]), "stimuli": _cells(person[key])}
                 for modality, key in (("EEG", "eeg"), ("ECG", "ecg"))}
    scores = {field: np.asarray(person[dimension], dtype=np.float64).reshape(-1, 1)
              for dimension, field in dreamer.SCORES.items()}
    return {"Age": person["Age"], "Gender": person["Gender"], **struct_of, **scores}


def _check_columns(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    for column in columns:
        if column not in table.columns:
            raise bad_input(f"{where}, column {column}", "columns " + " ".join(map(str, table.columns)),
                            f"a column named {column}", "add it")
