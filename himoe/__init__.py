"""Continuous multimodal emotion recognition from incomplete and asynchronous signals.

The library behind the pipeline: it knows nothing of DVC and of no default path; ``pipeline/`` has the stages. The
public names stand below and are loaded when they are first used, so that ``import himoe`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from himoe.core.errors import InputError as InputError
    from himoe.prepare.loading import Data as Data
    from himoe.prepare.loading import load as load
    from himoe.prepare.loading import make_windows as make_windows
    from himoe.prepare.windowset import Windows as Windows
    from himoe.prepare.windowset import folds as folds
    from himoe.scoring.frames import score as score
    from himoe.training.fitted import Fitted as Fitted
    from himoe.training.fitted import load_model as load_model

# name -> the module that defines it
PUBLIC = {
    "InputError": "core.errors", "Data": "prepare.loading", "load": "prepare.loading",
    "make_windows": "prepare.loading", "Windows": "prepare.windowset", "folds": "prepare.windowset",
    "score": "scoring.frames", "Fitted": "training.fitted", "load_model": "training.fitted",
    **dict.fromkeys(("HiMoE", "LateFusion", "BiLSTM", "TACOFormer", "IANet", "MFSTRNN", "CAFNet", "Husformer",
                     "FeaturesGBDT", "FeaturesRidge", "Mean"), "training.estimators"),
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(importlib.import_module(f"himoe.{PUBLIC[name]}"), name)
    raise AttributeError(f"module 'himoe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
