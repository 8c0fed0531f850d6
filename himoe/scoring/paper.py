"""The paper's published numbers, what it calls things, and where it contradicts itself.

Source of every number: the tables of "Hierarchical MoE: Continuous Multimodal Emotion Recognition with
Incomplete and Asynchronous Inputs", copied to ``data/paper_results.csv`` (Tables 2-6, 8-10) and, word for word
as printed, to ``data/paper_datasets.csv`` (Tables 1 and 7, and the rates its appendix names).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

from himoe.core.errors import bad_input

DATASET_COLUMNS = ("table", "dataset", "fact", "value", "source")
COLUMNS = ("table", "dataset", "protocol", "task", "method", "modalities", "dimension", "missing_rate",
           "metric", "value", "reproduced_by_authors")

# Printed names; the year is the cited paper's, as in the published tables.
METHOD_LABELS: dict[str, str] = {
    "late_fusion": "Late Fusion (2017)",
    "bilstm": "Bi-LSTM (2021)",
    "tacoformer": "TACOFormer (2023)",
    "ianet": "IANet (2024)",
    "mfst_rnn": "MFST-RNN (2023)",
    "cafnet": "CAFNet",
    "husformer": "Husformer (2022)",
    "mult": "MulT (2019)",
    "fusemoe": "FuseMoE (2024)",
    "flex_moe": "Flex-MoE (2024)",
    "momke": "MoMKE (2024)",
    "himoe": "Hi-MoE",
    "himoe-no_emotion_experts": "Hi-MoE without Emotion Expert Bank",
    "himoe-no_alignment": "Hi-MoE without Cross-Modal Alignment",
    "himoe-no_soft_routing": "Hi-MoE without Soft Routing",
    "features_ridge": "Features + ridge",
    "features_ridge_person": "Features × person + ridge",
    "features_gbdt": "Features + GBDT",
    "mean": "Training mean",
    "mean_subject": "Training mean of the person",
    "mean_stimulus": "Training mean of the clip",
}

SET_LABELS: dict[str, str] = {
    "deap": "DEAP", "dreamer": "DREAMER", "seed": "SEED", "amigos": "AMIGOS", "ceap360vr": "CEAP-360VR",
    "hku956": "HKU956", "wesad": "WESAD",
}

# What the two sets record besides face video; "PPS" is the set's peripheral signals.
RECORDED: dict[str, tuple[str, ...]] = {
    "deap": ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP"),
    "dreamer": ("EEG", "ECG"),
}

# Lowest and highest rating.
SCALES: dict[str, tuple[float, float]] = {
    "deap": (1.0, 9.0), "dreamer": (1.0, 5.0), "amigos": (1.0, 9.0), "ceap360vr": (1.0, 9.0),
    "hku956": (-10.0, 10.0), "wesad": (1.0, 9.0),
}

_R0 = ("The paper's tables disagree at r = 0: IANet has 0.9014 in Table 3 and 0.9002 in Tables 2 and 9; "
       "TACOFormer 0.9211 in Table 3 and 0.9144 in Tables 2 and 8.")
_TABLE10 = ("Paper: Table 10's CAFNet row repeats Table 4's MFST-RNN row number for number, and its first Hi-MoE "
            "row (EEG, face) repeats Table 4's Hi-MoE row (EEG and PPS).")
_SPLIT = ("Paper: ten-fold cross-validation \"with each subject's trials evenly split across folds\" is read here "
          "as whole trials.")
_FACE = ("Paper: Table 1 lists no face video for DREAMER and some for DEAP; Table 7 lists video for DREAMER and none "
         "for DEAP.")
_DREAMER_DIMENSIONS = "Paper: Table 1 gives DREAMER valence, arousal and dominance; Table 7 valence and arousal only."

CONTRADICTIONS: dict[str, tuple[str, ...]] = {
    "table1": (_FACE, _DREAMER_DIMENSIONS),
    "table2": (
        _R0, _SPLIT,
        "Paper: DREAMER records EEG and ECG only, yet Table 2 prints DREAMER numbers for EEG, EOG, EMG, EDA.",
    ),
    "table3": (
        _R0, _SPLIT,
        "Paper: the text gives TACOFormer 0.5744 at r = 0.35; Table 3 has 0.5787 there and 0.5744 for Bi-LSTM.",
    ),
    "table4": (_TABLE10, _SPLIT),
    "table6": (_SPLIT,),
    "table7": (
        "Paper: Table 7 calls SEED's labels discrete and infers valence and arousal from them.",
        _FACE, _DREAMER_DIMENSIONS,
        "Paper: Table 7 calls the annotation of DEAP and DREAMER continuous; both have one rating a trial.",
        "Paper: the appendix gives DREAMER's EEG 512 Hz; it was recorded at 128 Hz (Katsigiannis and Ramzan 2018, "
        "doi 10.1109/JBHI.2017.2688239).",
        "Paper: the appendix speaks of 16-channel EEG in SEED; it was recorded with 62 channels (Zheng and Lu 2015, "
        "doi 10.1109/TAMD.2015.2431497).",
    ),
    "table8": (_R0,),
    "table9": (_R0,),
    "table10": (_TABLE10,),
    "figure2": ("DEAP and DREAMER have one rating a trial: only continuously annotated data has a truth that moves.",),
    "figure3": (_R0,),
}


@dataclass(frozen=True)
class PaperValue:
    """One published number; ``reproduced``: the paper's authors ran that baseline themselves ("*")."""

    value: float
    reproduced: bool


def is_floor(method: str) -> bool:
    """Whether a method is a floor to beat: fitted in closed form or trees on hand-made features, no network of ours."""
    return method.startswith(("features_", "mean"))


def load_paper_results() -> pd.DataFrame:
    """All published numbers, one per row, columns ``COLUMNS``; ``missing_rate`` is NaN where none is given."""
    return _read().copy()


def paper_rows(table: int, dataset: str | None = None) -> pd.DataFrame:
    """The rows of one table (and one data set), in the paper's order.

    Raises
    ------
    InputError
        If the paper has no numbers under that table.
    """
    rows = _read()
    rows = rows[rows["table"] == table]
    if rows.empty:
        known = " ".join(str(t) for t in sorted(_read()["table"].unique()))
        raise bad_input("paper_results.csv: table", table, f"one of {known}", "correct the table's number")
    return rows[rows["dataset"] == dataset] if dataset else rows.copy()


def paper_value(table: int, dataset: str, method: str, modalities: str, metric: str, dimension: str = "mean",
                missing_rate: float | None = None) -> PaperValue | None:
    """The published number for exactly this cell, or None if the paper has none.

    ``modalities`` as in the file, e.g. ``"EEG+PPS"``. ``missing_rate`` None = tables without rates.
    Accuracy and F1 are in percent, as published.
    """
    return _cells().get((table, dataset, method, modalities, metric, dimension, _rate_key(missing_rate)))


def load_paper_datasets() -> pd.DataFrame:
    """What the paper prints of each data set, one fact a row, columns ``DATASET_COLUMNS``; values are text."""
    return _read_datasets().copy()


def paper_fact(table: int, dataset: str, fact: str) -> str | None:
    """One published fact of a data set (Table 1 or 7), word for word, or None if the paper has none."""
    frame = _read_datasets()
    rows = frame[(frame["table"] == table) & (frame["dataset"] == dataset) & (frame["fact"] == fact)]
    return None if rows.empty else str(rows["value"].iloc[0])


def _rate_key(rate: float | None) -> float:
    """Rates compare at four decimals; -1 stands for no rate (NaN never equals itself)."""
    return -1.0 if rate is None or math.isnan(rate) else round(rate, 4)


@cache
def _read() -> pd.DataFrame:
    return _read_csv("paper_results.csv", COLUMNS)


@cache
def _read_datasets() -> pd.DataFrame:
    return _read_csv("paper_datasets.csv", DATASET_COLUMNS, {"value": str})


def _read_csv(name: str, columns: tuple[str, ...], types: dict[str, type] | None = None) -> pd.DataFrame:
    with resources.files("himoe.scoring").joinpath(f"data/{name}").open("rb") as stream:
        frame = pd.read_csv(stream, dtype=types)
    if tuple(frame.columns) != columns:
        raise bad_input(f"{name}: header", ", ".join(frame.columns), ", ".join(columns), "install the package again")
    return frame


@cache
def _cells() -> dict[tuple, PaperValue]:
    frame = _read()
    keys = zip(frame["table"], frame["dataset"], frame["method"], frame["modalities"], frame["metric"],
               frame["dimension"], frame["missing_rate"].map(_rate_key), strict=True)
    values = [PaperValue(float(v), r == 1) for v, r in
              zip(frame["value"], frame["reproduced_by_authors"], strict=True)]
    return dict(zip(keys, values, strict=True))
