"""Which sensor and which experts speak when.

Legend: n windows, k windows with a signal, M modalities, K modality experts, L emotion experts, D dimensions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from himoe.prepare.windows import ID_COLUMNS
from himoe.prepare.windowset import Windows
from himoe.training.fitted import Fitted


def explain(model: Fitted, windows: Windows) -> pd.DataFrame:
    """One row per window and sensor that is there: what it weighs and what it changes.

    Returns
    -------
    DataFrame
        Ids, ``start_s``, ``modality``;
        ``weight``: its share in the fusion (Eq. 4), ``expert`` and ``expert_weight``: its strongest expert (Eq. 2, from
        0), ``emotion_expert`` and ``emotion_weight``: the strongest of the window (Eq. 5) - NaN for methods without;
        ``change_<dimension>``: prediction minus that without this sensor in the whole trial (rating scale), for every
        method; NaN where no other sensor is there.
    """
    encoded, _, present = model.encode(windows)
    rows = encoded.rows
    outputs = encoded.outputs(present)
    base = encoded.flatten(outputs)
    found = {name: encoded.diagnostic(outputs, name)
             for name in ("modality_gates", "fusion_weights", "emotion_gates")}
    parts = []
    for m, modality in enumerate(model.description.modalities):
        there = present[rows, m]
        if not there.any():
            continue
        without = present.copy()
        without[:, m] = False
        change = base - encoded.predict(without)
        change[~without[rows].any(1)] = np.nan
        part = windows.index.iloc[rows[there]][list(ID_COLUMNS)].assign(modality=modality, **_said(found, m, there))
        names = [f"change_{name}" for name in model.description.dimensions]
        parts.append(part.assign(**dict(zip(names, change[there].T, strict=True))))
    frame = pd.concat(parts) if parts else pd.DataFrame(columns=[*ID_COLUMNS, "modality"])
    return frame.sort_index(kind="stable").reset_index(drop=True)


def _said(found: dict[str, np.ndarray | None], m: int, there: np.ndarray) -> dict[str, np.ndarray]:
    """Weight and strongest experts (k',) of sensor *m* in the windows where it is *there*."""
    gates, fusion, emotion = found["modality_gates"], found["fusion_weights"], found["emotion_gates"]
    nothing = np.full(int(there.sum()), np.nan)
    return {"weight": nothing if fusion is None else fusion[there, m],
            "expert": nothing if gates is None else gates[there, m].argmax(-1),
            "expert_weight": nothing if gates is None else gates[there, m].max(-1),
            "emotion_expert": nothing if emotion is None else emotion[there].argmax(-1),
            "emotion_weight": nothing if emotion is None else emotion[there].max(-1)}
