"""Stage ``evaluate``: score one run at every missing rate, with intervals."""

from __future__ import annotations

from pathlib import Path

from himoe.evaluation import evaluate_run, run_metrics
from himoe.files import atomic_path, read_json, remove, write_json
from himoe.params import BootstrapParams, MissingParams, parse
from pipeline.runs import load_data, run_config
from pipeline.stage import SCRATCH, jobs, main


def evaluate(name: str, windows: str, folds: str, weights: str, out: str, metrics: str) -> None:
    """Score run *name*: the folder *out* (sweep, routing, trajectories) and the flat file *metrics*."""
    config, params = run_config("evaluate_main" if name == "main" else f"evaluate@{name}", name)
    missing = parse(MissingParams, params["missing"], "missing")
    bootstrap = parse(BootstrapParams, params["bootstrap"], "bootstrap")
    rate = float(params["missing_rate"]) if name == "main" else 0.0
    data = load_data(config, params, windows, folds)
    description = read_json(Path(weights) / "run.json")
    evaluation = evaluate_run(config, data, Path(weights), missing, rate, jobs())
    words = data.store.meta.provenance["label"]
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for part in ("sweep", "routing"):
            getattr(evaluation, part).to_csv(folder / f"{part}.csv", index=False, float_format="%.6f",
                                             lineterminator="\n")
        evaluation.trajectories.to_parquet(folder / "trajectories.parquet", index=False)
        evaluation.predictions.to_parquet(folder / "predictions.parquet", index=False)
        write_json(folder / "run.json", {**description, "label": config.run.method, "data": words})
    write_json(Path(metrics), run_metrics(config, data, description, evaluation, rate, bootstrap, words))
    remove(SCRATCH / "maps" / name)


if __name__ == "__main__":
    main(evaluate)
