"""Parameters: unknown keys, wrong types and impossible values end in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from himoe.core.errors import InputError
from himoe.core.params import (
    AlignmentParams,
    BootstrapParams,
    FaceParams,
    FilterParams,
    MissingParams,
    ModelParams,
    ReportParams,
    RunParams,
    SearchParams,
    SizeParams,
    SourceParams,
    SplitParams,
    TrainingParams,
    VideoParams,
    WindowParams,
    parse,
)

PARAMS = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text(encoding="utf-8"))

RUN = {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EEG", "EDA"]}


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
        (RunParams, {"set": "deap", "protocol": "random", "method": "himoe", "modalities": ["EEG"]},
         "trial or session or loso"),
        (RunParams, {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EGG"]}, "modality.*'EGG'"),
        (RunParams, {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EEG", "EEG"]}, "once"),
        (RunParams, {**RUN, "modalities": []}, "at least one modality"),
        (RunParams, {**RUN, "task": "ranking"}, "regression or classification"),
        (RunParams, {**RUN, "model": {"emotion_experts": 0}}, "runs.variant: found '', expected a name where"),
        (RunParams, {**RUN, "alignment": {"weight": 0.0}}, "runs.variant: found ''"),
        (RunParams, {**RUN, "variant": "experts4"}, "runs.variant: found 'experts4'"),
        (RunParams, {**RUN, "rates": [0.0]}, "unknown key 'rates'"),
        (SearchParams, {"epochs": 4}, "training.search.epochs: found 4, expected 5 or more"),
        (SearchParams, {"learning_rate": [0.0, 0.01]}, "rates above 0"),
        (SearchParams, {"learning_rate": 0.1}, "a list"),
        (MissingParams, {"rates": [0.0, 1.0], "mask_seeds": [0]}, r"rates in \[0, 1\)"),
        (MissingParams, {"rates": [0.0], "mask_seeds": []}, "at least one seed"),
        (BootstrapParams, {"draws": 0, "seed": 0}, "1 or more"),
        (BootstrapParams, {"draws": 9, "seed": 0, "level": 1.0}, r"in \(0, 1\)"),
        (BootstrapParams, {"draws": 9, "seed": 0, "swaps": 0}, "1 or more"),
        (BootstrapParams, {"draws": 9, "seed": 0, "effect": 0.0}, "more than 0"),
        (ReportParams, {"figure_set": "deap", "baselines": []}, "at least one method"),
        (FaceParams, {"detector": "eyes"}, "haar or centre"),
        (FaceParams, {"weights": "path"}, "exactly where face.weights is path"),
        (FaceParams, {"path": "w.pth"}, "exactly where face.weights is path"),
        (FaceParams, {"size_px": 8}, "32 pixels or more"),
        (FaceParams, {"fps_hz": 0}, "more than 0 Hz"),
        (VideoParams, {"width_px": 721}, "an even number of pixels"),
        (ModelParams, {"face_units": 0}, "1 or more"),
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
    assert {**PARAMS["main"], "seeds": [0, 1, 2]} == PARAMS["runs"]["deap-himoe"]


@pytest.mark.parametrize("profile", PARAMS["profiles"])
def test_every_profile_parses(profile: str) -> None:
    part = PARAMS["profiles"][profile]
    parse(TrainingParams, part["training"], "training")
    parse(SplitParams, part["split"], "split")
    assert set(part["preprocess"].values()) <= set(PARAMS["preprocess"])
    parse(FaceParams, part["face"], "face")
    parse(ModelParams, {**PARAMS["reference"]["model"], **part["model"]}, "model")
    for name, size in part["size"].items():
        assert parse(SizeParams, size, f"size.{name}").trials > 0


def test_the_paper_profile_is_the_papers_schedule() -> None:
    part = PARAMS["profiles"]["paper"]
    training = parse(TrainingParams, part["training"], "training")
    assert (training.epochs, training.batch_sequences, len(training.seeds), training.missing) == (75, 32, 5, "matched")
    assert part["split"]["folds"] == 10
    assert part["size"]["deap"] == {"subjects": 32, "trials": 40,
                                    "video": {"fps_hz": 50, "width_px": 720, "height_px": 576}}
    assert part["size"]["seed"] == {"subjects": 15, "trials": 15}
    assert part["size"]["amigos"] == {"subjects": 40, "trials": 20}
    assert part["face"]["weights"] == "imagenet"
    model = parse(ModelParams, {**PARAMS["reference"]["model"], **part["model"]}, "model")
    assert (model.eeg_encoder, model.signal_encoder) == ("eegnet", "cnn")


TRAINING = {"epochs": 3, "batch_sequences": 4, "sequence_length": 5, "learning_rate": 0.01, "patience": 2,
            "seeds": [0], "missing": "none"}


def test_the_search_is_a_part_of_training_and_none_by_default() -> None:
    assert parse(TrainingParams, TRAINING, "training").search.learning_rate == ()
    parsed = parse(TrainingParams, {**TRAINING, "search": {"epochs": 6, "learning_rate": [1, 2]}}, "training")
    assert parsed.search == SearchParams((1.0, 2.0), 6)
    with pytest.raises(InputError, match=r"training\.search: found the unknown key 'trial'"):
        parse(TrainingParams, {**TRAINING, "search": {"trial": 3}}, "training")
