"""The data sets that can be simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from himoe.simulate.amigos import simulate_amigos
from himoe.simulate.generate import simulate_deap, simulate_dreamer
from himoe.simulate.request import SimulationParams
from himoe.simulate.seed import simulate_seed

Simulator = Callable[[Path, SimulationParams, Mapping[str, str], int], None]


def _deap(root: Path, params: SimulationParams, options: Mapping[str, str], jobs: int = 1) -> None:
    simulate_deap(root, params, options.get("layout", "bdf"), jobs)


def _dreamer(root: Path, params: SimulationParams, options: Mapping[str, str], jobs: int = 1) -> None:
    simulate_dreamer(root, params, jobs)


# name -> (root, params, options, jobs)
SIMULATORS: dict[str, Simulator] = {
    "deap": _deap,
    "dreamer": _dreamer,
    "seed": simulate_seed,
    "amigos": simulate_amigos,
}
