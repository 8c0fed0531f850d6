"""Stage ``window``: cut clean trials into overlapping windows, one Parquet shard a subject."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from himoe.errors import bad_input
from himoe.files import atomic_path, write_json
from himoe.params import WindowParams, parse
from himoe.progress import progress
from himoe.recording_files import read_description, read_recordings
from himoe.windows import ShardMeta, samples_of, window_starts, window_table, write_shard
from pipeline.stage import jobs, main, stage_params

LEFT_OUT = "left_out.json"
NAMED = 5  # trials in a warning
log = logging.getLogger(__name__)


def window(name: str, signals: str, out: str) -> None:
    """Write the shards of data set *name* from the folder *signals* into *out*."""
    params = parse(WindowParams, stage_params(f"window@{name}")["windows"], "windows")
    root = Path(signals)
    description = read_description(root)
    meta = shard_meta(description, params)
    with atomic_path(Path(out)) as folder:
        subjects = description["subjects"]
        work = (delayed(_subject)(root, subject, folder, meta, params) for subject in subjects)
        done = Parallel(n_jobs=jobs(), return_as="generator_unordered")(work)
        short = dict(sorted(progress(done, f"window {name}", "subject", len(subjects))))
        if not any(folder.glob("*.parquet")):
            lengths_s = {f"subject {subject} trial {trial}": length_s
                         for subject, trials in short.items() for trial, length_s in trials.items()}
            where, longest_s = max(lengths_s.items(), key=lambda pair: pair[1])
            raise bad_input(f"{name} {where}: windows.length_s", f"{params.length_s:g} s",
                            f"at most the {longest_s:g} s of this longest trial", "shorten the window")
        say_left_out(name, folder, {subject: trials for subject, trials in short.items() if trials}, params.length_s)


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


def _subject(root: Path, subject: str, folder: Path, meta: ShardMeta, params: WindowParams
             ) -> tuple[str, dict[str, float]]:
    """Write a subject's shard, if it has any window; gives the trials that are too short for one, and their lengths."""
    recordings = read_recordings(root, subject)
    short = {one.trial: one.duration_s for one in recordings
             if not len(window_starts(one.duration_s, params, f"subject {subject} trial {one.trial}"))}
    if len(short) < len(recordings):
        index, arrays = window_table(recordings, meta, params)
        write_shard(folder / f"{subject}.parquet", index, arrays, meta)
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
