"""Stage ``window``: cut clean trials into overlapping windows, one Parquet shard per subject."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import atomic_path, write_json
from himoe.core.params import WindowParams, parse
from himoe.core.progress import progress
from himoe.core.workers import map_written
from himoe.prepare.recording_files import read_description, read_recordings
from himoe.prepare.unrated import UNRATED, rated_rows
from himoe.prepare.window_arrays import taken
from himoe.prepare.windows import ShardMeta, samples_of, window_starts, window_table, write_shard
from pipeline.stage import PARAMS, jobs, main, stage_params

LEFT_OUT = "left_out.json"
NAMED = 5  # trials in a warning
log = logging.getLogger(__name__)


def window(name: str, signals: str, out: str) -> None:
    """Write the shards of data set *name* from the folder *signals* into *out*; trials without a label apart."""
    params = parse(WindowParams, stage_params(f"window@{name}")["windows"], PARAMS, "windows")
    root = Path(signals)
    description = read_description(root)
    meta = shard_meta(description, params)
    with atomic_path(Path(out)) as folder:
        subjects = description["subjects"]
        done = map_written(_subject, (root, meta, params), folder, subjects, jobs(), f"window {name}", [signals])
        short = dict(sorted(progress(done, f"window {name}", "subject", len(subjects))))
        short = {subject: trials for subject, trials in short.items() if trials}
        if not any(folder.glob("*.parquet")):
            raise _nothing(name, signals, meta, short, params)
        say_left_out(name, folder, short, params.length_s)


def _nothing(name: str, signals: str, meta: ShardMeta, short: Mapping[str, Mapping[str, float]],
             params: WindowParams) -> InputError:
    """Why there is no shard: every trial is short, or none of those that are long enough is rated."""
    lengths_s = {f"subject {subject} trial {trial}": length_s
                 for subject, trials in short.items() for trial, length_s in trials.items()}
    if not lengths_s:
        return bad_input(f"{signals}: labels ({meta.label_source})", "no trial that has one", "rated trials",
                         "check windows.labels and the data set's ratings")
    where, longest_s = max(lengths_s.items(), key=lambda pair: pair[1])
    return bad_input(f"{name} {where}: windows.length_s", f"{params.length_s:g} s",
                     f"at most the {longest_s:g} s of this longest trial that is left out", "shorten the window")


def shard_meta(description: dict[str, Any], params: WindowParams) -> ShardMeta:
    """The description that every shard of the set carries."""
    modalities = {
        m: {**entry, "samples": samples_of(params.length_s, entry["sfreq_hz"], f"{m}: windows.length_s")}
        for m, entry in sorted(description["modalities"].items())
    }
    source = params.labels
    if source == "auto":
        source = "continuous" if description["annotated"] else "trial"
    return ShardMeta(
        set=description["set"], provenance=description["provenance"], modalities=modalities,
        dimensions=tuple(description["dimensions"]), scale=tuple(description["scale"]),
        thresholds=tuple(description["thresholds"]), length_s=params.length_s, step_s=params.step_s,
        label_source=source,
    )


def _subject(shared: tuple[Path, ShardMeta, WindowParams], folder: Path,
             subject: str) -> tuple[str, dict[str, float]]:
    """Write a subject's shards, of rated and of other trials; gives trials too short for one, and their lengths."""
    root, meta, params = shared
    recordings = read_recordings(root, subject)
    short = {one.trial: one.duration_s for one in recordings
             if not len(window_starts(one.duration_s, params, f"subject {subject} trial {one.trial}"))}
    if len(short) == len(recordings):
        return subject, short
    index, arrays = window_table(recordings, meta, params)
    rated = rated_rows(index, meta.dimensions)
    for rows, place in ((rated, folder), (~rated, folder / UNRATED)):
        if rows.all():
            write_shard(place / f"{subject}.parquet", index, arrays, meta)
        elif rows.any():
            write_shard(place / f"{subject}.parquet", index[rows].reset_index(drop=True),
                        {modality: taken(array, rows) for modality, array in arrays.items()}, meta)
    return subject, short


def say_left_out(name: str, folder: Path, short: dict[str, dict[str, float]], length_s: float) -> None:
    """Count and name the trials that are shorter than a window: a warning, and ``left_out.json`` beside the shards."""
    if short:
        names = [f"{subject} {trial}" for subject, trials in short.items() for trial in trials]
        rest = " ..." if len(names) > NAMED else ""
        log.warning("%s: %d trials are shorter than a window of %g s and are left out: %s%s", name, len(names),
                    length_s, ", ".join(names[:NAMED]), rest)
        write_json(folder / LEFT_OUT, {"length_s": length_s, "trials": short})


if __name__ == "__main__":
    main(window)
