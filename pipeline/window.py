"""Stage ``window``: cut clean trials into overlapping windows, one Parquet shard a subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from himoe.errors import bad_input
from himoe.files import atomic_path
from himoe.params import WindowParams, parse
from himoe.progress import progress
from himoe.recording_files import read_description, read_recordings
from himoe.unrated import UNRATED, rated_rows
from himoe.windows import ShardMeta, samples_of, window_table, write_shard
from pipeline.stage import jobs, main, stage_params


def window(name: str, signals: str, out: str) -> None:
    """Write the shards of data set *name* from the folder *signals* into *out*; trials without a label apart."""
    params = parse(WindowParams, stage_params(f"window@{name}")["windows"], "windows")
    root = Path(signals)
    description = read_description(root)
    meta = shard_meta(description, params)
    with atomic_path(Path(out)) as folder:
        work = (delayed(_subject)(root, subject, folder, meta, params) for subject in description["subjects"])
        done = Parallel(n_jobs=jobs(), return_as="generator_unordered")(work)
        for _ in progress(done, f"window {name}", "subject", len(description["subjects"])):
            pass
        if not any(folder.glob("*.parquet")):
            raise bad_input(f"{signals}: labels ({meta.label_source})", "no trial that has one", "rated trials",
                            "check windows.labels and the data set's ratings")


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


def _subject(root: Path, subject: str, folder: Path, meta: ShardMeta, params: WindowParams) -> None:
    index, arrays = window_table(read_recordings(root, subject), meta, params)
    rated = rated_rows(index, meta.dimensions)
    if rated.all():
        write_shard(folder / f"{subject}.parquet", index, arrays, meta)
        return
    for rows, place in ((rated, folder), (~rated, folder / UNRATED)):
        if rows.any():
            write_shard(place / f"{subject}.parquet", index[rows].reset_index(drop=True),
                        {modality: array[rows] for modality, array in arrays.items()}, meta)


if __name__ == "__main__":
    main(window)
