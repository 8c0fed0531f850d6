"""Small files as devices and recording software write them, for tests of readers."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

E4_START = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
E4_RATES = {"BVP": 64, "EDA": 4, "TEMP": 4, "HR": 1, "ACC": 32}


def e4_values(name: str, seconds: float) -> np.ndarray:
    """What :func:`write_e4` writes: rows that count up, so that a time can be told from a value."""
    count = round(seconds * E4_RATES[name])
    return np.arange(count * (3 if name == "ACC" else 1), dtype=float).reshape(count, -1) / 100


def write_e4(folder: Path, seconds: float = 120, start_s: float = E4_START, tags_s: Sequence[float] = (),
             late_s: Mapping[str, float] | None = None) -> Path:
    """An Empatica folder; ``late_s``: sensors that begin later, by seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rate in E4_RATES.items():
        begin = start_s + (late_s or {}).get(name, 0)
        rows = e4_values(name, seconds)
        head = [", ".join([f"{begin:.6f}"] * rows.shape[1]), ", ".join([f"{rate:.6f}"] * rows.shape[1])]
        lines = head + [",".join(f"{value:.2f}" for value in row) for row in rows]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    beats_s = np.arange(1.0, seconds, 0.8)
    (folder / "IBI.csv").write_text(f"{start_s:.6f}, IBI\n" + "".join(f"{t:.6f},0.800000\n" for t in beats_s))
    (folder / "tags.csv").write_text("".join(f"{start_s + t:.2f}\n" for t in tags_s))
    return folder


def zip_folder(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def write_edf(path: Path, signals: Mapping[str, tuple[np.ndarray, float, str]], start: Any = None,
              marks: Sequence[tuple[float, str]] = ()) -> Path:
    """An EDF+ or BDF+ by the ending; signals: label -> (samples, rate, unit)."""
    import edfio

    bdf = path.suffix == ".bdf"
    kind, whole = (edfio.BdfSignal, edfio.Bdf) if bdf else (edfio.EdfSignal, edfio.Edf)
    made = [kind(np.asarray(data, dtype=float), rate, label=label, physical_dimension=unit,
                 physical_range=(-4000, 4000)) for label, (data, rate, unit) in signals.items()]
    recording = None if start is None else edfio.Recording(startdate=start.date())
    path.parent.mkdir(parents=True, exist_ok=True)
    whole(made, recording=recording, starttime=None if start is None else start.time(),
          annotations=[edfio.EdfAnnotation(time_s, None, text) for time_s, text in marks]).write(path)
    return path


def pause_edf(path: Path, onsets_s: Sequence[str]) -> Path:
    """Make the EDF+ or BDF+ at *path* interrupted: its records begin at these seconds, as texts."""
    content = path.read_bytes()
    signals, width = int(content[252:256]), 3 if path.suffix == ".bdf" else 2
    labels = [content[256 + 16 * k:272 + 16 * k].strip() for k in range(signals)]
    place = 256 + 216 * signals
    counts = [width * int(content[place + 8 * k:place + 8 * k + 8]) for k in range(signals)]
    kept = next(k for k, label in enumerate(labels) if label.endswith(b"Annotations"))
    head, begin = 256 * (signals + 1), sum(counts[:kept])
    records = [content[first:first + sum(counts)] for first in range(head, len(content), sum(counts))]
    for k, (record, onset) in enumerate(zip(records, onsets_s, strict=True)):
        rest = record[begin:begin + counts[kept]].partition(b"\0")[2].rstrip(b"\0")
        rest += b"\0" if rest else b""
        new = (onset.encode() + b"\x14\x14\0" + rest).ljust(counts[kept], b"\0")
        assert len(new) == counts[kept]
        records[k] = record[:begin] + new + record[begin + counts[kept]:]
    path.write_bytes(content[:head].replace(b"DF+C", b"DF+D") + b"".join(records))
    return path


def write_brainvision(path: Path, data: np.ndarray, names: Sequence[str], sfreq_hz: int, resolution: float = 0.1,
                      unit: str = "µV", marks: Sequence[tuple[str, str, int]] = (),
                      start: str = "20240301140510") -> Path:
    """A header (.vhdr), data (.eeg, int16) and markers (.vmrk: type, description, sample from 0); *data* in *unit*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = "\n".join(f"Ch{k}={name},,{resolution},{unit}" for k, name in enumerate(names, 1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\nMarkerFile={path.stem}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(names)}\nSamplingInterval={1_000_000 // sfreq_hz}\n"
        "[Binary Infos]\nBinaryFormat=INT_16\n"
        f"[Channel Infos]\n{channels}\n", encoding="utf-8")
    np.round(data.T / resolution).astype("<i2").tofile(path.with_suffix(".eeg"))
    lines = [f"Mk1=New Segment,,1,1,0,{start}000000"]
    lines += [f"Mk{k}={kind},{text},{sample + 1},1,0" for k, (kind, text, sample) in enumerate(marks, 2)]
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\n[Marker Infos]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_fif(path: Path, data: np.ndarray, names: Sequence[str], sfreq_hz: float,
              marks: Sequence[tuple[float, float, str]] = (), date: Any = None) -> Path:
    """A FIF of EEG channels; *data* in volts."""
    import mne

    raw = mne.io.RawArray(data, mne.create_info(list(names), sfreq_hz, "eeg"), verbose="ERROR")
    raw.set_meas_date(date)
    if marks:
        onset, duration, text = zip(*marks, strict=True)
        raw.set_annotations(mne.Annotations(onset, duration, text, orig_time=date))
    raw.save(path, fmt="double", verbose="ERROR")
    return path


def write_set(path: Path, data: np.ndarray, names: Sequence[str], sfreq_hz: float,
              marks: Sequence[tuple[float, str]] = ()) -> Path:
    """An EEGLAB .set that holds its own data, in microvolts."""
    import scipy.io

    channels = np.array([(name,) for name in names], dtype=[("labels", object)])
    events = np.array([(text, 1 + time_s * sfreq_hz, 0.0) for time_s, text in marks],
                      dtype=[("type", object), ("latency", object), ("duration", object)])
    scipy.io.savemat(path, {"EEG": {
        "setname": path.stem, "nbchan": float(len(names)), "pnts": float(data.shape[1]), "trials": 1.0,
        "srate": float(sfreq_hz), "xmin": 0.0, "xmax": data.shape[1] / sfreq_hz, "data": data.astype(np.float32),
        "chanlocs": channels, "event": events, "epoch": np.empty(0), "urchanlocs": np.empty(0)}}, appendmat=False)
    return path


def write_physio(path: Path, rows: np.ndarray, columns: Sequence[str], sfreq_hz: float, start_s: float,
                 units: str = "uS", about: Path | None = None) -> Path:
    """A BIDS ``*_physio.tsv.gz``, and its .json beside it or at *about*; NaN is written as n/a."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join("\t".join("n/a" if np.isnan(value) else f"{value:.6g}" for value in row) for row in rows)
    path.write_bytes(gzip.compress((text + "\n").encode()))
    said = {"SamplingFrequency": sfreq_hz, "StartTime": start_s, "Columns": list(columns),
            **{name: {"Units": units} for name in columns}}
    (about or path.with_name(path.name.replace(".tsv.gz", ".json"))).write_text(json.dumps(said))
    return path


def write_tsv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """A table of BIDS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(map(str, row)) for row in [columns, *rows]) + "\n", encoding="utf-8")
    return path


def write_muse(path: Path, times_s: np.ndarray, data: np.ndarray, marks: Sequence[tuple[float, str]]) -> Path:
    """Mind Monitor's CSV of RAW_TP9 and RAW_AF7, as of 2024-03-01 14:05:10.250; packets of 12 samples share a time."""
    import datetime

    begin = datetime.datetime(2024, 3, 1, 14, 5, 10, 250_000)
    arrived_s = times_s[np.minimum(np.arange(len(times_s)) // 12 * 12 + 11, len(times_s) - 1)]
    rows = [(time_s, f"{low},{high},,1.0") for time_s, low, high in zip(arrived_s, *data, strict=True)]
    rows += [(time_s, f",,,,{text}") for time_s, text in marks]
    lines = [f"{(begin + datetime.timedelta(seconds=float(time_s))).isoformat(' ', 'milliseconds')},{cells}"
             for time_s, cells in sorted(rows, key=lambda row: row[0])]
    path.write_text("\n".join(["TimeStamp,RAW_TP9,RAW_AF7,Battery,HeadBandOn,Elements", *lines]) + "\n")
    return path


def write_openbci(path: Path, numbers: np.ndarray, data: np.ndarray, sfreq_hz: float, marks: Mapping[int, int]) -> Path:
    """A .txt of the OpenBCI GUI; *numbers*: which samples arrived; *marks*: number of a sample -> marker."""
    names = ("Sample Index, EXG Channel 0, EXG Channel 1, Other, Other, Timestamp, Marker Channel, "
             "Timestamp (Formatted)")
    head = ["%OpenBCI Raw EXG Data", "%Number of channels = 2", f"%Sample Rate = {sfreq_hz} Hz", names]
    time_s = E4_START + numbers // 8 * 8 / sfreq_hz  # packets of 8 samples
    rows = [f"{n % 256}, {low}, {high}, 0, 0, {arrived_s:.6f}, {marks.get(int(n), 0)}, 12:00:53.329"
            for n, arrived_s, low, high in zip(numbers, time_s, *data, strict=True)]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def write_shimmer(path: Path, times_s: np.ndarray, data: np.ndarray) -> Path:
    """ConsensysPRO's CSV of temperature and skin conductance; times in steps of 16 ms."""
    names = ["Timestamp_Unix_CAL", "Temperature_BMP280_CAL", "GSR_Skin_Conductance_CAL"]
    head = ['"sep=;"', "".join(f"Shimmer_40AC_{name};" for name in names), "ms;Degrees Celsius;uS;"]
    rows = [f"{1e3 * E4_START + round(time_s / 0.016) * 16};{low};{high};"
            for time_s, low, high in zip(times_s, *data, strict=True)]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def xdf_stream(name: str, kind: str, stamps_s: Sequence[float], samples: Any, sfreq_hz: float = 0,
               labels: Sequence[str] = (), unit: str = "", form: str = "float32",
               offsets: Sequence[tuple[float, float]] = ()) -> dict[str, Any]:
    """A stream for :func:`write_xdf`; ``offsets``: (time, value) of clock-offset measurements."""
    return {"name": name, "kind": kind, "stamps_s": stamps_s, "samples": samples, "sfreq_hz": sfreq_hz,
            "labels": labels, "unit": unit, "form": form, "offsets": offsets}


def write_xdf(path: Path, streams: Sequence[Mapping[str, Any]], date: str | None = None) -> Path:
    """A minimal XDF 1.0, as https://github.com/sccn/xdf/wiki says; a time stamp for every sample, chunks of 512."""
    path.parent.mkdir(parents=True, exist_ok=True)
    when = "" if date is None else f"<datetime>{date}</datetime>"
    with open(path, "wb") as out:
        out.write(b"XDF:")
        _chunk(out, 1, f'<?xml version="1.0"?><info><version>1.0</version>{when}</info>'.encode())
        for number, one in enumerate(streams, 1):
            _chunk(out, 2, _number(number) + _header(one).encode())
        for number, one in enumerate(streams, 1):
            for first in range(0, len(one["stamps_s"]), 512):
                _chunk(out, 3, _number(number) + _samples(one, first, min(first + 512, len(one["stamps_s"]))))
            for time_s, value in one["offsets"]:
                _chunk(out, 4, _number(number) + struct.pack("<dd", time_s, value))
            _chunk(out, 6, _number(number) + b'<?xml version="1.0"?><info><sample_count>'
                   + str(len(one["stamps_s"])).encode() + b"</sample_count></info>")
    return path


def _chunk(out: Any, tag: int, content: bytes) -> None:
    out.write(_length(len(content) + 2) + struct.pack("<H", tag) + content)


def _number(number: int) -> bytes:
    return struct.pack("<I", number)


def _length(count: int) -> bytes:
    return b"\x01" + struct.pack("<B", count) if count < 256 else b"\x04" + struct.pack("<I", count)


def _header(one: Mapping[str, Any]) -> str:
    width = len(one["labels"]) or (1 if one["form"] == "string" else np.asarray(one["samples"]).reshape(
        len(one["stamps_s"]), -1).shape[1] if len(one["stamps_s"]) else 1)
    channels = "".join(f"<channel><label>{label}</label><unit>{one['unit']}</unit></channel>"
                       for label in one["labels"])
    desc = f"<desc><channels>{channels}</channels></desc>" if channels else "<desc/>"
    return (f'<?xml version="1.0"?><info><name>{one["name"]}</name><type>{one["kind"]}</type>'
            f"<channel_count>{width}</channel_count><nominal_srate>{one['sfreq_hz']}</nominal_srate>"
            f"<channel_format>{one['form']}</channel_format>{desc}</info>")


def _samples(one: Mapping[str, Any], first: int, last: int) -> bytes:
    parts = [_length(last - first)]
    for k in range(first, last):
        parts.append(b"\x08" + struct.pack("<d", one["stamps_s"][k]))
        if one["form"] == "string":
            text = str(one["samples"][k]).encode()
            parts.append(_length(len(text)) + text)
        else:
            kind = {"float32": "<f4", "double64": "<f8", "int16": "<i2"}[one["form"]]
            parts.append(np.asarray(one["samples"][k], dtype=kind).tobytes())
    return b"".join(parts)
