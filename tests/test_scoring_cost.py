"""What predicting under every mask costs beside the training it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode
from toysets import encode_tensors, make_config, make_data, make_index, make_meta

from himoe.models.batches import WindowStore
from himoe.training.costs import UNCOUNTED
from himoe.training.fit import fit_task
from himoe.training.masked import rate_masks
from himoe.training.rundata import FoldTask

# DEAP's modalities as the embedded profile prepares them: channels, samples in 4 s, rate.
DEAP = {"EEG": (32, 256, 64.0), "EOG": (2, 128, 32.0), "EMG": (2, 512, 128.0), "EDA": (1, 32, 8.0),
        "RSP": (1, 64, 16.0), "PPG": (1, 128, 32.0), "TEMP": (1, 16, 4.0)}
EPOCHS = 8 + 2 * 5  # of the training, and of a search of two settings
RATES = tuple(k / 20 for k in range(9))
EMBEDDED = {"features": 32, "modality_experts": 4, "emotion_experts": 8, "expert_hidden": 64, "dropout": 0.25,
            "eeg_filters": 4}


def deap_like(subjects: int, trials: int, windows: int) -> WindowStore:
    """Noise in the shapes of DEAP, with labels."""
    index = make_index(subjects, trials, windows).assign(**{f"completeness_{m}": np.float32(1) for m in DEAP})
    rng = np.random.default_rng(0)
    arrays = {m: rng.standard_normal((len(index), c, w), dtype=np.float32) for m, (c, w, _) in DEAP.items()}
    return WindowStore(index, arrays, make_meta(DEAP))


def flops(work: Callable[[], Any]) -> tuple[Any, int]:
    """What *work* gives, and its floating-point operations: unlike seconds, they do not depend on what else runs."""
    with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
        given = work()
    return given, counter.get_total_flops()


@pytest.mark.parametrize("method", ["himoe", "late_fusion"])
def test_the_sweep_costs_less_than_a_fifth_of_the_training(method: str) -> None:
    """Nine rates and five mask seeds beside the embedded schedule: each test window is encoded once for all masks.

    docs/pipeline.md says for which methods it does not hold: their transformers run after the mask.
    """
    config = make_config(method, epochs=1, batch_sequences=8, sequence_length=8, model=EMBEDDED)
    config = replace(config, run=replace(config.run, modalities=tuple(DEAP)))
    data, task = make_data(config, deap_like(2, 8, 8), n_folds=4), FoldTask(1, 0)
    fitted, epoch = flops(lambda: fit_task(config, data, task))
    encoded, encoding = flops(lambda: encode_tensors(config, data, task, fitted.tensors))
    said, masking = flops(lambda: [encoded.predict(present)
                                   for _, _, present in rate_masks(config, data, RATES, range(5))])
    assert len(said) == 1 + 8 * 5  # masks
    limit = 0.2 * EPOCHS * epoch
    assert encoding + masking < limit < 41 * encoding + masking  # encoding for each mask would be too much
