"""Stage ``preprocess``: filter, resample and cut one data set's trials, subject by subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from himoe.datasets import get_dataset
from himoe.datasets.fetch import read_provenance
from himoe.errors import bad_input
from himoe.facts import merge_facts, session_facts
from himoe.files import atomic_path
from himoe.params import FilterParams, SourceParams, parse
from himoe.progress import progress
from himoe.recording_files import merge_descriptions, write_description, write_recordings
from himoe.recordings import Recording, check_modality
from himoe.signals import preprocess_session
from pipeline.stage import jobs, main, stage_params


def preprocess(name: str, raw: str, out: str) -> None:
    """Clean every subject of data set *name* from *raw* into *out*."""
    params = stage_params(f"preprocess@{name}")
    source = parse(SourceParams, params["sets"][name], f"sets.{name}")
    options = source.options
    filters = filter_table(params["preprocess"], params["profiles"][params["profile"]]["preprocess"])
    root = Path(raw)
    dataset = get_dataset(name, root)
    subjects = dataset.inspect(root, options).subjects
    with atomic_path(Path(out)) as folder:
        work = (delayed(_subject)(name, root, subject, options, filters, folder) for subject in subjects)
        done = Parallel(n_jobs=jobs(), return_as="generator_unordered")(work)
        parts = list(progress(done, f"preprocess {name}", "subject", len(subjects)))
        description = merge_descriptions(part for part, _ in parts)
        facts = merge_facts([session for _, sessions in parts for session in sessions], dataset.scale)
        write_description(folder, {
            "set": name, "provenance": {**read_provenance(root), "facts": facts},
            "dimensions": list(dataset.dimensions), "scale": list(dataset.scale),
            "thresholds": list(dataset.thresholds), **description,
        })


def filter_table(tables: Mapping[str, Any], choice: str) -> dict[str, FilterParams]:
    """The rates and bands of the chosen table, by modality."""
    if choice not in tables:
        raise bad_input("params.yaml: profiles.*.preprocess", repr(choice), " or ".join(tables), "correct the name")
    return {check_modality(m): parse(FilterParams, values, f"preprocess.{choice}.{m}")
            for m, values in tables[choice].items()}


def _subject(name: str, root: Path, subject: str, options: Mapping[str, str], filters: Mapping[str, FilterParams],
             folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Clean one subject's recordings into *folder*: what they are, and the facts of each session as read."""
    facts = []

    def recordings() -> Iterator[Recording]:
        for session in get_dataset(name, root).read(root, subject, options):
            facts.append(session_facts(session))
            yield from preprocess_session(session, filters)

    with threadpool_limits(1):
        return write_recordings(folder, subject, recordings()), facts


if __name__ == "__main__":
    main(preprocess)
