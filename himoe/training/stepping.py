"""One prediction for the newest of a few windows, as a stream asks for it.

Legend: T windows of one sequence, D dimensions, K classes (0 for ratings).
"""

from __future__ import annotations

import numpy as np
import torch

from himoe.models.batches import Assembler
from himoe.models.methods.base import Method


@torch.no_grad()
def predict_newest(method: Method, assembler: Assembler) -> tuple[np.ndarray, np.ndarray]:
    """The prediction (D,) for the last of the assembler's T windows, all of one sequence, none padded.

    With it the probability of every class, (D, K).
    """
    torch.set_num_threads(1)  # the same numbers on any number of cores; so small a network only waits for a second one
    batch = assembler.batch(np.arange(len(assembler.present))[None])
    output = method.decode(method.encode(batch), batch)
    raw = output.raw[0, -1]
    chances = raw[:, :0] if method.spec.task.classes is None else torch.softmax(raw, -1)
    return output.prediction[0, -1].numpy().astype(np.float64), chances.numpy().astype(np.float64)
