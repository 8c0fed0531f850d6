"""A recording by a device: when it began, what was sampled, which markers it has."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from himoe.datasets.devices import FORMATS, open_device
from himoe.datasets.devices.contract import DeviceFile, Start

Report = dict[str, Any]
TITLES = {"edf": "EDF or BDF", "brainvision": "BrainVision", "eeglab": "EEGLAB", "fif": "FIF", "xdf": "XDF",
          "e4": "Empatica E4", "muse": "Muse, by Mind Monitor", "openbci": "OpenBCI GUI", "shimmer": "Shimmer",
          "bids_physio": "BIDS, physiology"}
MARKERS = 40  # different texts that are listed


def describe_device(path: Path, name: str) -> Report:
    """Say what a recording of the format *name* holds.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    file = open_device(path, name)
    texts = Counter(mark.text for mark in file.markers())
    first_s: dict[str, float] = {}
    for mark in file.markers():
        first_s.setdefault(mark.text, round(mark.time_s, 3))
    return {"what": f"recording by a device ({TITLES[name]})", "file": str(path), "format": name,
            "began": when(file.start), "duration_s": round(file.duration_s, 3), "streams": streams(file),
            "markers": [{"text": text, "times": count, "first_s": first_s[text]}
                        for text, count in texts.most_common(MARKERS)],
            "different markers": len(texts), "notes": list(file.notes)}


def streams(file: DeviceFile) -> list[Report]:
    """One row a stream; a rate of None = irregular."""
    return [{"stream": one.name, "kind": one.kind or None, "channels": len(one.channels), "sfreq_hz": one.sfreq_hz,
             "samples": one.n_samples, "starts_s": round(one.start_s, 3),
             "unit": " ".join(dict.fromkeys(unit for unit in one.units if unit)) or None, "names": list(one.channels)}
            for one in file.streams]


def when(start: Start | None) -> str | None:
    """Date and time, and whether it is UTC or a wall clock's."""
    if start is None:
        return None
    text = datetime.fromtimestamp(start.unix_s, UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]
    return f"{text} {'UTC' if start.zoned else 'by a wall clock'}"


def is_e4_folder(path: Path) -> bool:
    """Whether a folder looks like an Empatica recording."""
    return path.is_dir() and sum((path / f"{name}.csv").is_file() for name in ("BVP", "EDA", "TEMP", "ACC")) >= 2


def endings() -> dict[str, str]:
    """File ending -> format."""
    return {ending: name for name, form in FORMATS.items() for ending in form.endings}
