"""``python -m pipeline.asynchrony reports/asynchrony``: what sensors out of step cost, on simulated people.

Simulates a cohort, puts its sensors out of step as conditions.yaml in that folder says, trains and tests every method,
and scans for the lags that were put in. Everything but the report is kept below ``.himoe/studies/asynchrony``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.files import write_text
from himoe.core.progress import progress
from himoe.core.recordings import Recording
from himoe.core.workers import map_forked
from himoe.core.yaml_files import read_yaml
from himoe.prepare.loading import clean_recordings
from himoe.report.figures.asynchrony import draw_all
from himoe.report.tables.asynchrony import readme
from himoe.scoring.asynchrony import ON_TIME, condition_rows
from himoe.scoring.paper import RECORDED
from himoe.simulate.generate import SimulationParams
from himoe.training.asynchrony import (
    STEP_S,
    CohortParams,
    Conditions,
    Fit,
    Material,
    Study,
    deal,
    fit_and_test,
    lag_rows,
    person_rows,
    read_study,
)
from pipeline.lags import SET_LAGS
from pipeline.people import simulated_people, true_lags
from pipeline.stage import jobs, main
from pipeline.study import STUDIES

TABLES = ("scores", "scan", "learned", "people", "truth", "example", "endings")


def asynchrony(folder: str) -> None:
    """Measure, and write tables, figures and README.md into *folder*."""
    target, path = Path(folder), Path(folder) / "conditions.yaml"
    values = read_yaml(path)
    study = read_study(values, str(path), RECORDED["deap"])
    recordings, form, truth = simulated(STUDIES / "asynchrony", study.params.simulate)
    found = measured(study, recordings, form) | {"truth": truth}
    label = str(form["provenance"]["label"])
    for name in TABLES:
        write_text(target / f"{name}.csv", found[name].assign(data=label).to_csv(
            index=False, float_format="%.6g", lineterminator="\n"))
    draw_all(found, label, study.params.shown, target)
    beside = {"set_lags": pd.read_csv(target / SET_LAGS)} if (target / SET_LAGS).is_file() else {}
    write_text(target / "README.md", readme(found | beside, values, label))


def simulated(work: Path, cohort: CohortParams) -> tuple[list[Recording], dict[str, Any], pd.DataFrame]:
    """Clean recordings of simulated people, what windows are made with, and true lags (person, modality, lag_s)."""
    data = simulated_people(work, SimulationParams(cohort.people, cohort.trials, cohort.seed, cohort.snr))
    recordings = [one for subject in data.subjects for one in clean_recordings(data.sessions(subject), STEP_S)]
    form = {"dimensions": ("valence", "arousal"), "scale": data.dataset.scale, "thresholds": data.dataset.thresholds,
            "name": "deap", "provenance": data.provenance}
    return recordings, form, true_lags(data.root)


def measured(study: Study, recordings: list[Recording], form: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Every table: scores, endings of trainings, learned lags, scans of everybody and by person, and an example."""
    params = study.params
    conditions = Conditions(recordings, form, params.simulate.seed)
    asked = {**study.tested, **study.trained}
    windows = {name: conditions.windows(sensors) for name, sensors in
               progress(asked.items(), "asynchrony", "condition", len(asked))}
    shared = Material(windows, deal(conditions.base.index, params.groups, params.simulate.seed), study.methods,
                      list(study.tested), params.missing, params.late)
    fits = [Fit(name, condition, group) for condition in study.trained for name in study.methods
            for group in range(params.groups)]
    done = list(progress(map_forked(fit_and_test, shared, fits, jobs()), "asynchrony", "model", len(fits)))
    predictions = pd.concat([one.predictions for one in done], ignore_index=True)
    return {"scores": condition_rows(predictions, ON_TIME), "learned": pd.concat([one.lags for one in done]),
            "endings": pd.concat([one.ending for one in done]),
            "scan": lag_rows(conditions, params.scanned_s, params.max_lag_s),
            "people": person_rows(conditions, params.max_lag_s), "example": example(predictions)}


def example(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions of one trial, the first of the first person, by models tested as they were trained."""
    first = predictions[["subject", "trial"]].drop_duplicates().sort_values(["subject", "trial"]).iloc[0]
    return predictions[(predictions["subject"] == first["subject"]) & (predictions["trial"] == first["trial"])
                       & (predictions["trained"] == predictions["tested"]) & (predictions["missing"] == 0)
                       & ~predictions["live"]]


if __name__ == "__main__":
    main(asynchrony)
