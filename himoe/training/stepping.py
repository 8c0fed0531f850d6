"""One prediction for the newest of a few windows, as a stream asks for it.

Legend: T windows of one sequence, D dimensions.
"""

from __future__ import annotations

import numpy as np
import torch

from himoe.models.batches import Assembler
from himoe.models.methods.base import Method


@torch.no_grad()
def predict_newest(method: Method, assembler: Assembler) -> np.ndarray:
    """The prediction (D,) for the last of the assembler's T windows, all of one sequence, none padded."""
    torch.set_num_threads(1)  # the same numbers on any number of cores; so small a network only waits for a second one
    batch = assembler.batch(np.arange(len(assembler.present))[None])
    return method.decode(method.encode(batch), batch).prediction[0, -1].numpy().astype(np.float64)
