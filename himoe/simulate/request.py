"""What is asked of the simulator, and its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from himoe.core.errors import bad_input
from himoe.core.params import WORLDS, VideoParams

TRUTH_FILE = "truth.json"
LIMITS: dict[str, tuple[int, int]] = {"deap": (32, 40), "dreamer": (23, 18), "seed": (15, 15), "amigos": (40, 20)}
_STEPS = {"deap": 23, "amigos": 7}


@dataclass(frozen=True)
class SimulationParams:
    """What to simulate: number of people, trials (videos) a person, seed, strength of emotion, and the world.

    ``world`` is one of ``himoe.core.params.WORLDS``: how emotions move, and what they do to bodies. ``snr`` multiplies
    every emotional effect and leaves everything else as it is; with ``video``, DEAP has face videos of that rate and
    size.

    Raises
    ------
    InputError
        If a number is not positive (seed and snr: negative).
    """

    subjects: int
    trials: int
    seed: int
    snr: float = 1.0
    video: VideoParams | None = None
    world: str = "physiological"

    def __post_init__(self) -> None:
        for name, lowest in (("subjects", 1), ("trials", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise bad_input(f"simulation parameter {name}", repr(value),
                                f"a whole number from {lowest} on", "correct the parameter")
        if not (math.isfinite(self.snr) and self.snr >= 0):
            raise bad_input("simulation parameter snr", repr(self.snr), "a number from 0 on",
                            "correct the parameter")
        if self.world not in WORLDS:
            raise bad_input("simulation parameter world", repr(self.world), " or ".join(WORLDS),
                            "correct the parameter")


def participants(dataset: str, subjects: int) -> tuple[int, ...]:
    """Numbers of the simulated people; a smaller number of people is a prefix of a larger one.

    DEAP: steps of 23 through 1..32, so that the second person already comes from the other site. AMIGOS: steps of 7
    through 1..40, so that the second has no long videos. Either way four people in a row differ in number modulo 4.
    """
    if dataset in _STEPS:
        step, most = _STEPS[dataset], LIMITS[dataset][0]
        return tuple(1 + step * k % most for k in range(subjects))
    return tuple(range(1, subjects + 1))


def check_request(root: Path, dataset: str, params: SimulationParams) -> None:
    """The limits of the data set; and no simulated file may come to lie among others."""
    for name, most in zip(("subjects", "trials"), LIMITS[dataset]):
        if getattr(params, name) > most:
            raise bad_input(f"simulation of {dataset}, parameter {name}", getattr(params, name),
                            f"at most {most}, as in the data set", "lower it")
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())) and not (root / TRUTH_FILE).is_file():
        raise bad_input(root, f"files but no {TRUTH_FILE}", "an empty folder or an earlier simulation",
                        "choose another folder, so that simulated and real files do not mix")
