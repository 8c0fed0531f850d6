"""``himoe study new FOLDER``: write a small study of the recordings there and say how to run it."""

from __future__ import annotations

import shlex
from pathlib import Path

import himoe
from himoe.core.errors import bad_input
from himoe.core.files import require_folder, write_text
from himoe.core.params import FilterParams, parse
from himoe.core.yaml_files import read_yaml
from himoe.datasets.folder import DESCRIPTION
from himoe.inspection.locate import locate, looked_for
from himoe.inspection.study import HELD_OUT, Study, plan_study

PARAMS = "params.yaml"
PROJECT = (PARAMS, "dvc.yaml", "pipeline/study.py")


def new_study(folder: Path, into: Path | None = None, dataset: str | None = None, layout: str | None = None,
              jobs: int = 1) -> str:
    """Write *into*/params.yaml for the recordings in *folder*; what was found and the next command, as text.

    *into* is ``<folder>-study`` beside it, unless said otherwise. Nothing that is there is written over.
    """
    root = project_root()
    folder = require_folder(folder)
    place = locate(folder, dataset, layout)
    if place is None:
        raise bad_input(folder, "no data set", f"one of {looked_for()}",
                        f"write a {DESCRIPTION} (docs/your-own-data.md; for files of devices: himoe inspect FOLDER "
                        "--write-yaml)")
    target = into or place.root.resolve().with_name(f"{place.root.resolve().name}-study")
    path = target / PARAMS
    if path.exists():
        raise bad_input(path, "a file that is there already", "none",
                        "remove it, or name another folder with --into")
    study = plan_study(place, usual_filters(root), jobs)
    try:
        write_text(path, study.text)
    except OSError as error:
        raise bad_input(path, f"a place that cannot be written ({error.strerror})", "a folder of yours",
                        "name another one with --into") from error
    return said(study, path, next_command(root, target))


def project_root() -> Path:
    """The project's folder: this one, or the one that the package was installed from."""
    for root in (Path.cwd(), Path(himoe.__file__).resolve().parents[1]):
        if all((root / name).is_file() for name in PROJECT):
            return root
    raise bad_input(Path.cwd(), f"no {' and '.join(PROJECT)}", "the project's folder", "run the command there")


def usual_filters(root: Path) -> dict[str, FilterParams]:
    """Rates and bands by modality of the project's profile ``embedded``."""
    params = read_yaml(root / PARAMS)
    table = params["profiles"]["embedded"]["preprocess"]["default"]
    return {name: parse(FilterParams, values, root / PARAMS, f"preprocess.{table}.{name}")
            for name, values in params["preprocess"][table].items()}


def next_command(root: Path, target: Path) -> str:
    """What to type next, here."""
    command = f"python -m pipeline.study {shlex.quote(str(target))}"
    return command if root == Path.cwd() else f"cd {shlex.quote(str(root))} && {command}"


def said(study: Study, path: Path, command: str) -> str:
    """What was found, what will be run, and the next command."""
    unrated = [person for person, count in study.rated.items() if not count]
    sensors = ", ".join(f"{name} at {one.sfreq_hz:g} Hz" for name, one in study.filters.items())
    parts = {"trial": f"{study.folds} folds", "loso": f"{study.people} groups" if study.people else "one by one"}
    lines = [f"{study.place.label}: {len(study.rated) - len(unrated)} people, {sum(study.rated.values())} rated trials",
             f"sensors:  {sensors}",
             f"held out: {HELD_OUT[study.protocol]}, {parts[study.protocol]}",
             f"methods:  {', '.join(study.methods)}"]
    lines += [f"without a rating, kept for prediction, in no fold: {' '.join(unrated)}"] if unrated else []
    return "\n".join([*lines, *study.notes, f"written: {path}", "", "Run it, a few minutes:", command])
