"""What is asked of the simulator, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from himoe.core.errors import bad_input
from himoe.core.params import Count, NotNegative, VideoParams, Whole, World
from himoe.core.parsing import checked

TRUTH_FILE = "truth.json"
LIMITS: dict[str, tuple[int, int]] = {"deap": (32, 40), "dreamer": (23, 18), "seed": (15, 15), "amigos": (40, 20)}
_STEPS = {"deap": 23, "amigos": 7}


@checked
@dataclass(frozen=True)
class SimulationParams:
    """What to simulate: number of people, trials (videos) a person, seed, strength of emotion, and the world.

    ``world`` is one of ``himoe.core.params.World``: how emotions move, and what they do to bodies. ``snr`` multiplies
    every emotional effect and leaves everything else as it is; with ``video``, DEAP has face videos of that rate and
    size.

    Raises
    ------
    InputError
        If a number is not positive (seed and snr: negative).
    """

    subjects: Count
    trials: Count
    seed: Whole
    snr: NotNegative = 1.0
    video: VideoParams | None = None
    world: World = "physiological"


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
