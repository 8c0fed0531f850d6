"""Parameters: unknown keys, wrong types and impossible values end in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

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
from himoe.core.yaml_files import read_yaml

PARAMS = read_yaml(Path(__file__).parent.parent / "params.yaml")

RUN = {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EEG", "EDA"]}


def test_an_unknown_key_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"model: found the unknown key 'featurs', expected one of .*features"):
        parse(ModelParams, {"featurs": 3}, "params.yaml", "model")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="no key 'step_s'"):
        parse(WindowParams, {"length_s": 4.0}, "params.yaml", "windows")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ModelParams, {"features": "many"}, "found 'many', expected a whole number of 1 or more; correct it"),
        (ModelParams, {"features": True}, "a whole number"),
        (ModelParams, {"similarity": "l2"}, "scaled_dot or cosine"),
        (ModelParams, {"emotion_experts": -1}, "0 \\(none\\) or more"),
        (AlignmentParams, {"temperature": 0}, "a number above 0;"),
        (FilterParams, {"band_hz": [45, 4]}, "0 <= low < high"),
        (FilterParams, {"band_hz": 4}, r"two values \[low, high\].*write it as \[a, b\]"),
        (FilterParams, {"band_hz": [4]}, "a list of 1, expected two values"),
        (FilterParams, {"band_hz": [4, 5, 6]}, "a list of 3, expected two values"),
        (FilterParams, {"band_hz": [4, "x"]}, r"model.band_hz\[1\]: found 'x', expected a number, or null"),
        (FilterParams, {"sfreq_hz": float("nan")}, "found nan, expected a number above 0 Hz, or null"),
        (FilterParams, {"sfreq_hz": 10**5000}, "a number above 0 Hz"),
        (WindowParams, {"length_s": 4, "step_s": 5, "labels": "auto", "min_completeness": 1}, "at most length_s"),
        (SplitParams, {"folds": 1, "validation": 0.1}, "2 or more"),
        (SourceParams, {"source": "cloud"}, "simulate or local or download"),
        (RunParams, {"set": "deap", "protocol": "random", "method": "himoe", "modalities": ["EEG"]},
         "trial or session or loso"),
        (RunParams, {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EGG"]},
         "model.modalities: found 'EGG', expected one of EEG"),
        (RunParams, {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": ["EEG", "EEG"]}, "once"),
        (RunParams, {**RUN, "modalities": []}, "at least one modality"),
        (RunParams, {**RUN, "task": "ranking"}, "regression or classification"),
        (RunParams, {**RUN, "model": {"emotion_experts": 0}}, "model.variant: found '', expected a name where"),
        (RunParams, {**RUN, "alignment": {"weight": 0.0}}, "model.variant: found ''"),
        (RunParams, {**RUN, "variant": "experts4"}, "model.variant: found 'experts4'"),
        (RunParams, {**RUN, "rates": [0.0]}, "unknown key 'rates'"),
        (SearchParams, {"epochs": 4}, "model.epochs: found 4, expected 5 or more"),
        (SearchParams, {"learning_rate": [0.01, 0.0]}, r"learning_rate\[1\]: found 0.0, expected a number above 0"),
        (SearchParams, {"learning_rate": 0.1}, "a list"),
        (MissingParams, {"rates": [0.0, 1.0], "mask_seeds": [0]}, r"rates\[1\]: found 1.0, .* number in \[0, 1\)"),
        (MissingParams, {"rates": [0.0], "mask_seeds": []}, "at least one seed"),
        (BootstrapParams, {"draws": 0, "seed": 0}, "1 or more"),
        (BootstrapParams, {"draws": 9, "seed": 0, "level": 1.0}, r"in \(0, 1\)"),
        (BootstrapParams, {"draws": 9, "seed": 0, "swaps": 0}, "1 or more"),
        (BootstrapParams, {"draws": 9, "seed": 0, "effect": 0.0}, "above 0"),
        (ReportParams, {"figure_set": "deap", "baselines": []}, "at least one method"),
        (FaceParams, {"detector": "eyes"}, "haar or centre"),
        (FaceParams, {"weights": "path"}, "exactly where weights is path"),
        (FaceParams, {"path": "w.pth"}, "exactly where weights is path"),
        (FaceParams, {"size_px": 8}, "32 pixels or more"),
        (FaceParams, {"fps_hz": 0}, "above 0 Hz"),
        (VideoParams, {"width_px": 721}, "an even number of pixels"),
        (ModelParams, {"face_units": 0}, "1 or more"),
    ],
)
def test_impossible_values_say_what_is_expected(cls: type, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(cls, values, "params.yaml", "model")


def test_the_sentence_names_the_place_and_the_first_mistake() -> None:
    with pytest.raises(InputError, match=r"^config\.json: found the unknown key 'steps_s', expected one of labels"):
        parse(WindowParams, {"length_s": 4, "steps_s": 2}, "config.json")
    with pytest.raises(InputError, match=r"^a/b\.yaml: length_s: found '4', expected a number above 0 s; correct it"):
        parse(WindowParams, {"length_s": "4", "step_s": 2, "labels": "auto", "min_completeness": 1}, "a/b.yaml")
    with pytest.raises(InputError, match=r"^x: found the unknown key 7, expected"):
        parse(ModelParams, {7: 8}, "x")
    with pytest.raises(InputError, match=r"^x: y: found \[1\], expected a mapping of keys; indent"):
        parse(ModelParams, [1], "x", "y")  # type: ignore[arg-type]


def test_what_is_made_in_python_is_checked_too() -> None:
    with pytest.raises(InputError, match=r"^ModelParams: features: found 0, expected a whole number of 1 or more"):
        replace(ModelParams(), features=0)
    with pytest.raises(InputError, match=r"^WindowParams: step_s: found 5.0, expected at most length_s, 4 s"):
        WindowParams(4, 5, "auto", 1)
    with pytest.raises(TypeError, match="zz"):
        ModelParams(zz=1)  # type: ignore[call-arg]


def test_whole_numbers_serve_as_floats_and_lists_as_tuples() -> None:
    parsed = parse(FilterParams, {"sfreq_hz": 128, "band_hz": [4, None]}, "params.yaml", "x")
    assert parsed == FilterParams(128.0, (4.0, None))
    assert isinstance(parsed.sfreq_hz, float)


def test_the_tables_reference_is_what_main_starts_from() -> None:
    assert PARAMS["reference"] == {"model": PARAMS["model"], "alignment": PARAMS["alignment"]}
    assert {**PARAMS["main"], "seeds": [0, 1, 2]} == PARAMS["runs"]["deap-himoe"]


@pytest.mark.parametrize("profile", PARAMS["profiles"])
def test_every_profile_parses(profile: str) -> None:
    part = PARAMS["profiles"][profile]
    parse(TrainingParams, part["training"], "params.yaml", "training")
    parse(SplitParams, part["split"], "params.yaml", "split")
    assert set(part["preprocess"].values()) <= set(PARAMS["preprocess"])
    parse(FaceParams, part["face"], "params.yaml", "face")
    parse(ModelParams, {**PARAMS["reference"]["model"], **part["model"]}, "params.yaml", "model")
    for name, size in part["size"].items():
        assert parse(SizeParams, size, "params.yaml", f"size.{name}").trials > 0


def test_the_paper_profile_is_the_papers_schedule() -> None:
    part = PARAMS["profiles"]["paper"]
    training = parse(TrainingParams, part["training"], "params.yaml", "training")
    assert (training.epochs, training.batch_sequences, len(training.seeds), training.missing) == (75, 32, 5, "matched")
    assert part["split"]["folds"] == 10
    assert part["size"]["deap"] == {"subjects": 32, "trials": 40,
                                    "video": {"fps_hz": 50, "width_px": 720, "height_px": 576}}
    assert part["size"]["seed"] == {"subjects": 15, "trials": 15}
    assert part["size"]["amigos"] == {"subjects": 40, "trials": 20}
    assert part["face"]["weights"] == "imagenet"
    model = parse(ModelParams, {**PARAMS["reference"]["model"], **part["model"]}, "params.yaml", "model")
    assert (model.eeg_encoder, model.signal_encoder) == ("eegnet", "cnn")


TRAINING = {"epochs": 3, "batch_sequences": 4, "sequence_length": 5, "learning_rate": 0.01, "patience": 2,
            "seeds": [0], "missing": "none"}


def test_the_search_is_a_part_of_training_and_none_by_default() -> None:
    assert parse(TrainingParams, TRAINING, "params.yaml", "training").search.learning_rate == ()
    parsed = parse(TrainingParams, {**TRAINING, "search": {"epochs": 6, "learning_rate": [1, 2]}}, "params.yaml",
                   "training")
    assert parsed.search == SearchParams((1.0, 2.0), 6)
    with pytest.raises(InputError, match=r"training\.search: found the unknown key 'trial'"):
        parse(TrainingParams, {**TRAINING, "search": {"trial": 3}}, "params.yaml", "training")
