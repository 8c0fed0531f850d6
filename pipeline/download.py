"""Stage ``download``: bring one data set's raw files to data/raw/<set>, simulated, linked or fetched."""

from __future__ import annotations

from pathlib import Path

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path
from himoe.core.params import SimulateParams, SizeParams, SourceParams, parse
from himoe.datasets import get_dataset
from himoe.datasets.fetch import obtain_download, obtain_local, source_path, write_provenance
from himoe.datasets.links import FOLLOW
from himoe.simulate.generate import SimulationParams
from himoe.simulate.registry import SIMULATORS
from pipeline.stage import PARAMS, jobs, main, stage_params


def download(name: str, out: str) -> None:
    """Fill *out* with the raw files of data set *name* and their provenance.json."""
    params = stage_params(f"download@{name}")
    source = parse(SourceParams, params["sets"][name], PARAMS, f"sets.{name}")
    profile = params["profile"]
    options = source.options
    path = source_path(name, source.path) if source.source == "local" else None
    dataset = get_dataset(name, path)
    refuse_sharing(name, source, params["remote"], dataset.redistributable)
    with atomic_path(Path(out)) as folder:
        if source.source == "simulate":
            require_simulator(name)
            size = parse(SizeParams, params["profiles"][profile]["size"].get(name), PARAMS,
                         f"profiles.{profile}.size.{name}")
            knobs = parse(SimulateParams, params["simulate"], PARAMS, "simulate")
            simulate(name, folder, SimulationParams(size.subjects, size.trials, knobs.seed, knobs.snr,
                                                   size.video, knobs.world), options)
        elif path is not None:
            obtain_local(dataset, path, folder, options)
        else:
            obtain_download(dataset, folder)
        write_provenance(folder, dataset, source.source, dataset.inspect(folder, options | FOLLOW))


def require_simulator(name: str) -> None:
    """Refuse to simulate a set that has no simulator."""
    if name not in SIMULATORS:
        raise bad_input(f"params.yaml: sets.{name}.source", "'simulate'",
                        "local or download: this set has no simulator",
                        f"set sets.{name}.source and sets.{name}.path")


def simulate(name: str, folder: Path, params: SimulationParams, options: dict[str, str]) -> None:
    """Write simulated raw files."""
    folder.mkdir(parents=True)
    SIMULATORS[name](folder, params, options, jobs())


def refuse_sharing(name: str, source: SourceParams, remote: str, redistributable: bool) -> None:
    """Real data that may not be passed on must not go to the shared DVC remote."""
    if source.source != "simulate" and not redistributable and remote == "shared" and not source.redistribute:
        raise bad_input(
            f"params.yaml: remote, with sets.{name}.source = {source.source}", "'shared'",
            "another DVC remote, such as 'licensed': the licence does not let you pass on what is made from this data",
            f"set remote: licensed (-S remote=licensed), which stays in this folder, or sets.{name}.redistribute: true "
            "if you have the right")


if __name__ == "__main__":
    main(download)
