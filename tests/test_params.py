"""Parameters: unknown keys, wrong types and impossible values end in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from himoe.errors import InputError
from himoe.params import (
    AlignmentParams,
    FilterParams,
    ModelParams,
    RunParams,
    SourceParams,
    SplitParams,
    TrainingParams,
    WindowParams,
    parse,
)

PARAMS = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text(encoding="utf-8"))


def test_an_unknown_key_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"model: found the unknown key 'featurs', expected one of .*features"):
        parse(ModelParams, {"featurs": 3}, "model")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="no key 'step_s'"):
        parse(WindowParams, {"length_s": 4.0}, "windows")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ModelParams, {"features": "many"}, "model.features: found 'many', expected a value of type int"),
        (ModelParams, {"features": True}, "type int"),
        (ModelParams, {"similarity": "l2"}, "scaled_dot or cosine"),
        (ModelParams, {"emotion_experts": -1}, "0 \\(none\\) or more"),
        (AlignmentParams, {"temperature": 0}, "more than 0"),
        (FilterParams, {"band_hz": [45, 4]}, "0 <= low < high"),
        (FilterParams, {"band_hz": 4}, "a list"),
        (WindowParams, {"length_s": 4, "step_s": 5, "labels": "auto", "min_completeness": 1}, "at most length_s"),
        (SplitParams, {"folds": 1, "validation": 0.1}, "2 or more"),
        (SourceParams, {"source": "cloud"}, "simulate, local or download"),
        (RunParams, {"set": "deap", "protocol": "random", "method": "himoe", "modalities": ["EEG"]}, "trial or loso"),
        (RunParams, {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EGG"]}, "modality.*'EGG'"),
        (RunParams, {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EEG", "EEG"]}, "once"),
    ],
)
def test_impossible_values_say_what_is_expected(cls: type, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(cls, values, "model")


def test_whole_numbers_serve_as_floats_and_lists_as_tuples() -> None:
    parsed = parse(FilterParams, {"sfreq_hz": 128, "band_hz": [4, None]}, "x")
    assert parsed == FilterParams(128.0, (4.0, None))
    assert isinstance(parsed.sfreq_hz, float)


def test_the_tables_reference_is_what_main_starts_from() -> None:
    assert PARAMS["reference"] == {"model": PARAMS["model"], "alignment": PARAMS["alignment"]}
    assert {**PARAMS["main"]} == PARAMS["runs"]["deap-himoe"]


@pytest.mark.parametrize("profile", PARAMS["profiles"])
def test_every_profile_parses(profile: str) -> None:
    part = PARAMS["profiles"][profile]
    parse(TrainingParams, part["training"], "training")
    parse(SplitParams, part["split"], "split")
    assert part["preprocess"] in PARAMS["preprocess"]


def test_the_paper_profile_is_the_papers_schedule() -> None:
    part = PARAMS["profiles"]["paper"]
    training = parse(TrainingParams, part["training"], "training")
    assert (training.epochs, training.batch_sequences, len(training.seeds), training.missing) == (75, 32, 5, "matched")
    assert part["split"]["folds"] == 10
    assert part["size"]["deap"] == {"subjects": 32, "trials": 40}
