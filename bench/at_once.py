"""A training step of several models as one, on raw signals, against the same models one after the other.

``python -m bench.at_once`` prints milliseconds per step and model as JSON, then as a table. A model is late fusion of
DEAP's signals at the embedded rates: EEG through EEGNet or learned log power, the other sensors through the small CNN,
or the face's features, one frame per second; a step is 64 windows, a fifth of them absent: forward, backward,
clipping, Adam and the running average. ``himoe.training.stacked.COUNTED_ON`` follows these numbers.

Legend: G models, B sequences, T time steps.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from bench.training import default_spec, random_batch
from himoe.models.batches import ModalityShape, combine
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec
from himoe.training import stacked
from himoe.training.adam import Adam
from himoe.training.fit import MAX_GRADIENT_NORM, choose_device
from himoe.training.stacked import Average, Stacked

SEQUENCES, STEPS = 8, 8
FACE = ModalityShape(1280, 4, 1.0)
WARM = 1  # steps that are not timed
DECAY = 0.98


def specs() -> dict[str, Spec]:
    """Late fusion of one kind of front end, by its name."""
    spec, _ = default_spec()
    shapes = dict(spec.shapes)
    eeg = replace(spec, shapes={"EEG": shapes.pop("EEG")})
    return {"eegnet": eeg, "power": replace(eeg, model=replace(spec.model, eeg_encoder="power")),
            "cnn": replace(spec, shapes=shapes), "face": replace(spec, shapes={"FACE": FACE})}


def stepper(spec: Spec, models: int, device: torch.device) -> Callable[[], None]:
    """A training step of *models* that run as one where :func:`himoe.training.stacked.can_stack` allows it."""
    torch.manual_seed(0)
    method: Method = build_method("late_fusion", spec).to(device)
    stack = Stacked([copy.deepcopy(method) for _ in range(models)], list(range(models)))
    average, optimiser = Average(stack), Adam(stack.parameters.values(), 1e-3)
    generator = torch.Generator().manual_seed(0)
    batch = combine(torch.stack, [random_batch(spec, SEQUENCES, STEPS, generator) for _ in range(models)]).to(device)
    done = 0

    def step() -> None:
        nonlocal done
        stack.train(done)
        losses = stack.losses(batch)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum(0).sum().backward()
        stack.clip_gradients(MAX_GRADIENT_NORM)
        optimiser.step([(slice(0, models), 1e-3)])
        average.update(DECAY)
        done += 1

    return step


def seconds(step: Callable[[], None], device: torch.device) -> float:
    """What one step takes."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measure(device: torch.device, threads: Sequence[int], groups: Sequence[int],
            repeats: int) -> list[dict[str, str | float]]:
    """A row for each front end and number of threads: one by one (``alone``), then so many models as one.

    All take turns, and each one's shortest step counts: what else runs on the machine can only lengthen it.
    """
    rows: list[dict[str, str | float]] = []
    for name, spec in specs().items():
        stacked.COUNTED_ON = ()
        steppers = {"alone": (1, stepper(spec, 1, device))}
        stacked.COUNTED_ON = (device.type,)
        steppers |= {str(models): (models, stepper(spec, models, device)) for models in groups}
        for n in threads:
            torch.set_num_threads(n)
            times: dict[str, list[float]] = {key: [] for key in steppers}
            for _ in range(WARM + repeats):
                for key, (models, step) in steppers.items():
                    times[key].append(1e3 * seconds(step, device) / models)
            rows.append({"front_end": name, "threads": n,
                         **{key: round(min(values[WARM:]), 2) for key, values in times.items()}})
    return rows


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    device = choose_device(args.device)
    rows = measure(device, args.threads, args.models, args.repeats)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(json.dumps({"device": name, "ms_per_step_and_model": rows}))
    print("| " + " | ".join(rows[0]) + " |")
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
