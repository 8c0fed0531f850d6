"""Stage ``settings``: what all runs of the tables share, checked once and written to one small file.

DVC records a stage's parameters in dvc.lock and parses that file several times a stage. A hundred runs that each
declare the same sixty values would cost two seconds a stage; they depend on this file instead.
"""

from __future__ import annotations

from pathlib import Path

from himoe.files import write_json
from himoe.params import AlignmentParams, MissingParams, ModelParams, TrainingParams, WindowParams, parse
from pipeline.stage import main, stage_params


def settings(out: str) -> None:
    """Check the parameters that every run shares and write them to *out*."""
    params = stage_params("settings")
    profile = params["profile"]
    training = params["profiles"][profile]["training"]
    parse(TrainingParams, training, f"profiles.{profile}.training")
    parse(MissingParams, params["missing"], "missing")
    parse(WindowParams, params["windows"], "windows")
    parse(ModelParams, params["reference"]["model"], "reference.model")
    parse(AlignmentParams, params["reference"]["alignment"], "reference.alignment")
    write_json(Path(out), {"profile": profile, "seed": params["seed"], "reference": params["reference"],
                           "missing": params["missing"], "windows": params["windows"],
                           "profiles": {profile: {"training": training}}})


if __name__ == "__main__":
    main(settings)
