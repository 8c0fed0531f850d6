"""Stage ``settings``: what each run is made with, checked once and written to one small file per run.

DVC records a stage's parameters in dvc.lock and parses that file, and params.yaml, several times per stage. Fifty runs
that each declare the same sixty values would cost two seconds per stage; they depend on their file instead. Here alone
a run's line, the models' parameters and the profile come together; ``main`` has a file like the others'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, read_json, write_json
from himoe.core.params import AlignmentParams, MissingParams, ModelParams, TrainingParams, WindowParams, parse
from pipeline.stage import PARAMS, main, stage_params

Values = Mapping[str, Any]


def settings(runs: str, out: str, main_run: str = "") -> None:
    """Resolve every run of the file *runs* to *out*/<run>.json, and ``main`` to the file *main_run*."""
    params = stage_params("settings")
    reference = reference_of(params)
    if set(reference) != {"model", "alignment"}:
        raise bad_input("params.yaml: reference", f"the keys {list(reference)}", "model and alignment",
                        "correct them")
    if type(params["seed"]) is not int:
        raise bad_input("params.yaml: seed", repr(params["seed"]), "a whole number", "correct it")
    parse(MissingParams, params["missing"], PARAMS, "missing")
    parse(WindowParams, params["windows"], PARAMS, "windows")
    check_models(reference, "reference.")
    check_models(params)
    own = resolve("main", params["main"], params, params)
    files = {name: resolve(f"runs.{name}", line, reference, params) for name, line in read_json(Path(runs)).items()}
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for name, values in files.items():
            write_json(folder / f"{name}.json", values)
    if main_run:
        write_json(Path(main_run), own)


def resolve(where: str, line: Values, base: Values, params: Values) -> dict[str, Any]:
    """All that decides the run whose *line* stands at *where*; *base* holds the model and alignment that it changes."""
    profile = params["profile"]
    training = dict(params["profiles"][profile]["training"])
    parse(TrainingParams, training, PARAMS, f"profiles.{profile}.training")
    found = {key: {**base[key], **line.get(key, {})} for key in ("model", "alignment")}
    check_models(found, f"{where}.")
    return {"run": line, **found, "training": {**training, **({"seeds": line["seeds"]} if line.get("seeds") else {})},
            "missing": params["missing"], "windows": params["windows"], "seed": params["seed"]}


def check_models(values: Values, where: str = "") -> None:
    """Refuse a ``model`` or ``alignment`` that cannot be; *where* stands before their names."""
    parse(ModelParams, values["model"], PARAMS, f"{where}model")
    parse(AlignmentParams, values["alignment"], PARAMS, f"{where}alignment")


def reference_of(params: Values) -> dict[str, Any]:
    """What the runs of the tables follow: ``reference``, with what the profile in use changes of its ``model``."""
    reference = dict(params["reference"])
    changed = params["profiles"][params["profile"]]["model"]
    if changed:
        reference["model"] = {**reference["model"], **changed}
    return reference


if __name__ == "__main__":
    main(settings)
