"""The commands that need no Python to use a model: ``fit``, ``predict``, ``score``, ``explain`` and ``demo``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from himoe.cli.values import Commands, add_command, add_folder, by_name, count, path, seconds

DEMO = Path("himoe-demo")
TABLE = "table to write, .csv or .parquet (default: CSV on standard output)"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    _add_fit(commands)
    predict = add_command(commands, "predict", "predict for the people in a folder",
                          "Predict for everybody in a folder: a table with one row per window and dimension, and "
                          "intervals.", "himoe predict my-model recordings --drop EEG --out predictions.csv")
    explain = add_command(commands, "explain", "say which sensor speaks when",
                          "Say what each sensor weighs and changes: a table with one row per window and sensor.",
                          "himoe explain my-model recordings --out sensors.csv")
    for command in (predict, explain):
        command.add_argument("model", type=path, metavar="MODEL", help="a model's folder")
        add_folder(command)
        command.add_argument("--out", type=path, metavar="FILE", help=TABLE)
    predict.add_argument("--drop", metavar="NAMES", help="sensors to do without: EEG, EEG+EDA, PPS, ...")
    predict.add_argument("--every", type=seconds, metavar="SECONDS",
                         help="from prediction to prediction (default: the model's step); 0.5, 5, ...")
    score = add_command(commands, "score", "score predictions against ratings",
                        "Score a table of predictions against the ratings in it.",
                        "himoe score predictions.csv --by trial")
    score.add_argument("predictions", type=path, metavar="PREDICTIONS", help="what himoe predict wrote")
    score.add_argument("--by", choices=["window", "trial"], default="window", help="what is compared (default: window)")
    score.add_argument("--classes", type=count, metavar="N",
                       help="predicted are N classes (2: the probability of high); default: as the table says")
    demo = add_command(commands, "demo", "from simulated recordings to a picture, in two minutes",
                       "Simulate a few people, fit a model, predict for people it has not seen and draw a picture.",
                       f"himoe demo --out {DEMO}")
    demo.add_argument("--out", type=path, default=DEMO, metavar="FOLDER", help=f"a new folder (default: {DEMO})")


def _add_fit(commands: Commands[argparse.ArgumentParser]) -> None:
    fit = add_command(commands, "fit", "fit a model on a folder of recordings",
                      "Fit a model: some people (or whole trials) are held out once for the scores, then the model "
                      "that is saved is fitted on everybody.",
                      "himoe fit data/DEAP --dataset deap --modalities EEG+EDA --out my-model")
    add_folder(fit)
    fit.add_argument("--method", default="himoe", metavar="NAME",
                     help="himoe (default), late_fusion, features_ridge, ...; a wrong name lists them all")
    fit.add_argument("--modalities", metavar="NAMES", help="EEG+EDA, PPS, ALL, ... (default: all but FACE)")
    fit.add_argument("--task", choices=["regression", "classification"], default="regression",
                     help="predict ratings (default), or their classes by the data set's thresholds: high or low, ...")
    fit.add_argument("--protocol", choices=["trial", "loso"],
                     help="hold out whole trials, or people (default: people where three or more are rated)")
    fit.add_argument("--epochs", type=count, metavar="N", help="most rounds over the training data")
    fit.add_argument("--window", type=seconds, default=4.0, metavar="SECONDS", help="length of a window (default: 4)")
    fit.add_argument("--step", type=seconds, metavar="SECONDS", help="from window to window (default: half a window)")
    fit.add_argument("--scheduler", metavar="ADDRESS",
                     help="fit on a Dask cluster: tcp://HOST:PORT of its scheduler (default: $HIMOE_SCHEDULER)")
    fit.add_argument("--out", type=path, required=True, metavar="MODEL", help="the model's folder, to be written")


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "fit": by_name("fitting", "fit"), "predict": by_name("using", "predict"),
    "score": by_name("scoring", "score"),
    "explain": by_name("using", "explain"), "demo": by_name("demo", "demo")}
