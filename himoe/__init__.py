"""Continuous multimodal emotion recognition from incomplete and asynchronous signals.

The library behind the pipeline: it knows nothing of DVC and of no default path; ``pipeline/`` has the stages. The
public names stand below and are loaded when they are first used, so that ``import himoe`` costs nothing; type checkers
read ``__init__.pyi``.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# name -> the module that defines it
PUBLIC = {
    "InputError": "core.errors", "Data": "prepare.loading", "load": "prepare.loading",
    "make_windows": "prepare.loading", "Windows": "prepare.windowset", "folds": "prepare.windowset",
    "Asynchrony": "prepare.asynchrony", "SensorTiming": "prepare.asynchrony",
    "score": "scoring.frames", "Fitted": "training.fitted", "load_model": "training.fitted",
    "predict_every": "training.every",
    "stream": "live.engine",
    **dict.fromkeys(("HiMoE", "LateFusion", "BiLSTM", "TACOFormer", "IANet", "MFSTRNN", "CAFNet", "Husformer",
                     "MulT", "FuseMoE", "FlexMoE", "MoMKE", "FeaturesGBDT", "FeaturesRidge", "Mean"),
                    "training.estimators"),
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(importlib.import_module(f"himoe.{PUBLIC[name]}"), name)
    raise AttributeError(f"module 'himoe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
