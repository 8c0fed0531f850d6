"""``himoe demo``: a few simulated people, a model, predictions for people it has not seen, and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from himoe.commands.fitting import estimator_of, fit_and_score, said
from himoe.commands.picture import draw_trial, typical_trial
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path
from himoe.core.progress import note
from himoe.core.tables import require_place, write_table
from himoe.prepare.loading import load, make_windows
from himoe.simulate.generate import simulate_deap
from himoe.simulate.request import SimulationParams
from himoe.training.fitted import CARD

# Emotions speak louder than in the tables of the project, so that so few people are enough to see something.
SIZE = SimulationParams(subjects=7, trials=6, seed=11, snr=2.0)
RECORDINGS, MODEL, PREDICTIONS, PICTURE = "recordings", "model", "predictions.csv", "predictions"


def demo(options: argparse.Namespace) -> None:
    """Write recordings, model, predictions and picture into the new folder ``options.out``.

    Raises
    ------
    InputError
        If there is something at that place.
    """
    out: Path = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise bad_input(out, "something that is there already", "a new folder",
                        "remove it, or name another one with --out")
    require_place(out)
    with atomic_path(out) as place:
        place.mkdir(parents=True)
        note(f"1 of 3: {SIZE.subjects} people are simulated")
        simulate_deap(place / RECORDINGS, SIZE, layout="dat")
        note("2 of 3: filter, resample, cut")
        data = load("deap", place / RECORDINGS, layout="dat")
        windows = make_windows(data)
        note("3 of 3: a model to be scored, and one of everybody")
        outcome = fit_and_score(estimator_of("himoe"), windows, None, str(data.root))
        outcome.model.save(place / MODEL)
        write_table(outcome.predictions, place / PREDICTIONS)
        draw_trial(outcome.predictions, typical_trial(outcome.predictions), outcome.model.description, data.label,
                   place / PICTURE)
        lines = said(data, windows, outcome)
    print("\n".join(lines))
    print(f"picture:     {out / PICTURE}.png (a trial of somebody held out: rated, predicted, interval)\n"
          f"predictions: {out / PREDICTIONS} (of the people held out)\n"
          f"model:       {out / MODEL} (its card: {CARD})\n"
          f"next:        himoe predict {out / MODEL} {out / RECORDINGS} --drop EEG --out without-eeg.csv\n"
          "             himoe fit FOLDER --out MODEL, with recordings of your own")
