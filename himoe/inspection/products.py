"""What this project made: signals, window shards, fold tables, face features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json
from himoe.datasets.texttable import read_names, read_text_table
from himoe.prepare.faces.tracks import ABOUT_FILE, read_track
from himoe.prepare.windows import METADATA_KEY, read_meta, shard_paths

Report = dict[str, Any]
FOLD_COLUMNS = {"fold", "role", "subject", "trial"}
SIGNAL_COLUMNS = {"subject", "trial", "modality", "channel", "sfreq_hz", "unit", "samples"}
TRIAL_COLUMNS = {"subject", "trial", "stimulus", "duration_s", "annotation_time_s"}
FACE_KEY = b"himoe.face"


def describe_product_folder(folder: Path) -> Report | None:
    """A signals, windows or folds folder, or a folder of face features; None if it is none of these."""
    if (folder / "set.json").is_file():
        return _signals_folder(folder)
    if (folder / ABOUT_FILE).is_file():
        return _faces_folder(folder)
    shards = sorted(folder.glob("*.parquet"))
    if shards and METADATA_KEY in _metadata(shards[0]):
        return _windows_folder(folder)
    tables = [path for path in sorted(folder.glob("*.csv")) if set(_columns(path)) >= FOLD_COLUMNS]
    if tables:
        reports = [describe_fold_table(path) for path in tables]
        return {"what": "folder of fold tables", "folder": str(folder),
                "tables": [{"file": path.name, "protocol": report["protocol"], "folds": len(report["folds"]),
                            "subjects": report["subjects"], "trials": report["trials"],
                            "leaks": report["leaks"]}
                           for path, report in zip(tables, reports, strict=True)]}
    return None


def describe_parquet(path: Path) -> Report:
    """A window shard, a table of signals or of trials, or a face track."""
    metadata, columns = _metadata(path), set(_parquet_columns(path))
    if METADATA_KEY in metadata:
        return {**_windows_report([path]), "file": str(path)}
    if FACE_KEY in metadata:
        return _face_track(path, json.loads(metadata[FACE_KEY]))
    for what, needed in (("clean signals of one subject", SIGNAL_COLUMNS), ("trials of one subject", TRIAL_COLUMNS)):
        if needed <= columns:
            return {"what": what, "data": _label_above(path), "file": str(path), "rows": _rows(path),
                    **_trial_counts(path)}
    raise bad_input(path, f"a Parquet table with columns {' '.join(sorted(columns))}",
                    "a window shard, signals, trials or a face track of this project", "give one of these")


def describe_fold_table(path: Path) -> Report:
    """Who is tested when: rows of each fold and role, and trials (``leaky``: windows) in two roles of a fold."""
    import pandas as pd

    found = read_text_table(path, ("role", "subject", "trial"), ("fold",), (), ("window",))
    table = pd.DataFrame({**found.texts, **found.numbers}).astype({"fold": int})
    keys = [name for name in ("subject", "trial", "window") if name in table]
    unit = ["subject", "trial"]
    roles = table.groupby(["fold", *unit])["role"].nunique()
    counts = table.groupby(["fold", "role"]).size().unstack(fill_value=0)
    return {"what": "fold table", "protocol": path.stem, "file": str(path),
            "one row": "a fold and window" if "window" in keys else "a fold and trial",
            "subjects": int(table["subject"].nunique()), "trials": len(table[unit].drop_duplicates()),
            "leaks": f"{int((roles > 1).sum())} trials stand in two roles of one fold",
            "folds": [{"fold": fold, **row} for fold, row in counts.to_dict("index").items()]}


def _signals_folder(folder: Path) -> Report:
    content = _described(folder / "set.json", "set", "provenance", "modalities", "subjects")
    return {"what": "clean signals of a data set", "data": content["provenance"].get("label"), "set": content["set"],
            "folder": str(folder), "subjects": content["subjects"],
            "annotated over time": content.get("annotated"), "dimensions": content.get("dimensions"),
            "trials": sum(_rows(path) for path in sorted((folder / "trials").glob("*.parquet"))),
            "modalities": _modality_rows(content["modalities"]),
            "missing": [f"{part}/{subject}.parquet" for part in ("signals", "trials") for subject in content["subjects"]
                        if not (folder / part / f"{subject}.parquet").is_file()]}


def _faces_folder(folder: Path) -> Report:
    content = read_json(folder / ABOUT_FILE)
    tracks = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    plain = {key: value for key, value in content.items() if isinstance(value, str | int | float)}
    return {"what": "face features of a data set", "data": _label_above(folder), "folder": str(folder), **plain,
            "tracks": len(tracks)}


def _windows_folder(folder: Path) -> Report:
    paths = shard_paths(folder)
    subjects = sorted({subject for path in paths for subject in _ids(path, "subject")})
    return {**_windows_report(paths), "folder": str(folder), "subjects": subjects}


def _windows_report(paths: list[Path]) -> Report:
    meta = read_meta(paths[0])
    others = [path.name for path in paths[1:] if read_meta(path) != meta]
    return {"what": "window shards" if len(paths) > 1 else "window shard", "data": meta.provenance.get("label"),
            "set": meta.set, "windows": sum(_rows(path) for path in paths), "length_s": meta.length_s,
            "step_s": meta.step_s, "labels": meta.label_source, "dimensions": list(meta.dimensions),
            "modalities": _modality_rows(meta.modalities), "shards of another form": others}


def _face_track(path: Path, about: Mapping[str, Any]) -> Report:
    track = read_track(path)
    plain = {key: value for key, value in sorted(about.items()) if isinstance(value, str | int | float)}
    return {"what": "face features of one video", "data": _label_above(path), "file": str(path), **plain,
            "frames": len(track.time_s), "features": int(track.features.shape[1]),
            "frames with a face": int((track.features == track.features).all(axis=1).sum())}


def _modality_rows(modalities: Mapping[str, Mapping[str, Any]]) -> list[Report]:
    return [{"modality": name, "channels": len(entry["channels"]),
             **{key: entry[key] for key in ("samples", "sfreq_hz", "unit") if key in entry},
             "names": list(entry["channels"])} for name, entry in modalities.items()]


def _described(path: Path, *keys: str) -> Mapping[str, Any]:
    content = read_json(path)
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise bad_input(f"{path}: {key}", "no such key", "a description of clean signals",
                            "run the preprocess stage again")
    return content


def _label_above(path: Path) -> str | None:
    """The label of the data, from the description in a folder above."""
    for folder in [path, *list(path.parents)[:3]]:
        for name in ("set.json", ABOUT_FILE):
            if (folder / name).is_file():
                content = read_json(folder / name)
                label = content.get("provenance", content).get("label")
                return None if label is None else str(label)
    return None


def _metadata(path: Path) -> Mapping[bytes, bytes]:
    return _schema(path).metadata or {}


def _parquet_columns(path: Path) -> list[str]:
    return list(_schema(path).names)


def _schema(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise _no_table(path, error) from error


def _no_table(path: Path, error: Exception) -> InputError:
    return bad_input(path, f"a file that is no Parquet table ({error})", "a complete Parquet file", "make it again")


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _trial_counts(path: Path) -> Report:
    names = [name for name in ("subject", "trial", "modality") if name in _parquet_columns(path)]
    return {f"{name} ids": _ids(path, name) for name in names}


def _ids(path: Path, column: str) -> list[str]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=[column], page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise _no_table(path, error) from error
    return sorted(set(table.column(column).to_pylist()))


def _columns(path: Path) -> list[str]:
    try:
        return list(read_names(path)[0])
    except InputError:
        return []
