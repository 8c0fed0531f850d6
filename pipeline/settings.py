"""Stage ``settings``: what each run of the tables is made with, checked once and written to one small file per run.

DVC records a stage's parameters in dvc.lock and parses that file, and params.yaml, several times per stage. Fifty runs
that each declare the same sixty values would cost two seconds per stage; they depend on their file instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, read_json, write_json
from himoe.core.params import AlignmentParams, MissingParams, ModelParams, TrainingParams, WindowParams, parse
from pipeline.stage import PARAMS, main, stage_params


def settings(runs: str, out: str) -> None:
    """Check the parameters that every run shares and write them, with its line from *runs*, to *out*/<run>.json."""
    params = stage_params("settings")
    profile, reference = params["profile"], reference_of(params)
    if set(reference) != {"model", "alignment"}:
        raise bad_input("params.yaml: reference", f"the keys {list(reference)}", "model and alignment",
                        "correct them")
    if type(params["seed"]) is not int:
        raise bad_input("params.yaml: seed", repr(params["seed"]), "a whole number", "correct it")
    training = params["profiles"][profile]["training"]
    parse(TrainingParams, training, PARAMS, f"profiles.{profile}.training")
    parse(MissingParams, params["missing"], PARAMS, "missing")
    parse(WindowParams, params["windows"], PARAMS, "windows")
    parse(ModelParams, reference["model"], PARAMS, "reference.model")
    parse(AlignmentParams, reference["alignment"], PARAMS, "reference.alignment")
    shared = {"profile": profile, "seed": params["seed"], "reference": reference, "missing": params["missing"],
              "windows": params["windows"], "profiles": {profile: {"training": training}}}
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for name, line in read_json(Path(runs)).items():
            write_json(folder / f"{name}.json", {**shared, "runs": {name: line}})


def reference_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """What the runs of the tables follow: ``reference``, with what the profile in use changes of its ``model``."""
    reference = dict(params["reference"])
    changed = params["profiles"][params["profile"]]["model"]
    if changed:
        reference["model"] = {**reference["model"], **changed}
    return reference


if __name__ == "__main__":
    main(settings)
