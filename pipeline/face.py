"""Stage ``face``: find the face in every video of one data set and turn sampled frames into features."""

from __future__ import annotations

from pathlib import Path

from himoe.core.files import atomic_path, remove, write_json
from himoe.core.params import FaceParams, SourceParams, parse
from himoe.datasets import get_dataset
from himoe.datasets.links import FOLLOW
from pipeline.stage import PARAMS, SCRATCH, jobs, main, stage_params


def face(name: str, raw: str, out: str) -> None:
    """Write one track a video of data set *name* below *out*; a set without videos leaves a file that says so.

    Finished videos are kept until all are done, so that a killed stage goes on where it was.
    """
    params = stage_params(f"face@{name}")
    profile = params["profile"]
    settings = parse(FaceParams, params["profiles"][profile]["face"], PARAMS, f"profiles.{profile}.face")
    source = parse(SourceParams, params["sets"][name], PARAMS, f"sets.{name}")
    videos = face_videos(name, Path(raw), source)
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        if not videos:
            write_json(folder / "faces.json", {"videos": {}})
            return
        from himoe.prepare.faces.extract import extract_folder  # torch takes seconds to import

        extract_folder(videos, settings, folder, SCRATCH / "faces" / name, jobs())
    remove(SCRATCH / "faces" / name)


def face_videos(name: str, root: Path, source: SourceParams) -> dict[tuple[str, str], Path]:
    """The set's videos by subject and trial; none where FACE is not asked for."""
    dataset = get_dataset(name, root)
    if dataset.videos is None or (source.modalities is not None and "FACE" not in source.modalities):
        return {}
    subjects = dataset.inspect(root, source.options | FOLLOW).subjects
    return {(subject, trial): path for subject in subjects for trial, path in dataset.videos(root, subject).items()}


if __name__ == "__main__":
    main(face)
