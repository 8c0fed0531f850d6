"""The registry of data sets and the completeness of every form."""

from __future__ import annotations

from pathlib import Path

import pytest

from himoe.core.errors import InputError
from himoe.core.recordings import DIMENSIONS, MODALITIES
from himoe.datasets import DATASETS, get_dataset
from pipeline.code import import_closure

OWN = """
name: mine
title: Mine
licence: private
dimensions: [arousal]
scale: [0, 1]
threshold: 0.5
ratings: ratings.csv
modalities:
  ECG: {file: "{subject}-{trial}.csv", columns: [ecg], sfreq_hz: 250, unit: mV}
"""


def test_keys_are_the_names() -> None:
    assert list(DATASETS) == ["deap", "dreamer", "seed", "amigos", "ceap360vr", "hku956", "wesad"]
    assert all(name == dataset.name and get_dataset(name) is dataset for name, dataset in DATASETS.items())


def test_the_file_of_every_set_is_code_of_whoever_asks_for_a_set() -> None:
    root = Path(__file__).resolve().parents[2]
    code = import_closure([root / "himoe" / "datasets" / "__init__.py"], root)
    assert {f"himoe/datasets/{name}.py" for name in DATASETS} <= set(code)


@pytest.mark.parametrize("name", list(DATASETS))
def test_forms_are_complete(name: str) -> None:
    form = DATASETS[name]
    assert all((form.title, form.citation, form.licence, form.access))
    assert form.doi.startswith("10.")
    assert form.dimensions
    assert set(form.dimensions) <= set(DIMENSIONS)
    limits = [form.scale[0], *form.thresholds, form.scale[1]]
    assert limits == sorted(set(limits))
    assert len(limits) > 2
    assert form.modalities
    assert set(form.modalities) <= set(MODALITIES)
    assert set(form.default_off) <= set(form.modalities)
    assert form.patterns
    for channels in form.modalities.values():
        assert channels.names
        assert channels.unit
        assert channels.sfreq_hz is None or channels.sfreq_hz > 0
    for file in form.files:
        assert file.url.startswith("https://")
        assert not Path(file.path).is_absolute()


@pytest.mark.parametrize("root", [None, Path("nowhere")])
def test_unknown_name_lists_the_known_ones(root: Path | None) -> None:
    with pytest.raises(InputError, match=r"'mahnob'.*deap dreamer seed amigos ceap360vr hku956 wesad"):
        get_dataset("mahnob", root)


def test_own_folder(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(OWN)
    assert get_dataset("mine", tmp_path).modalities["ECG"].sfreq_hz == 250
    assert get_dataset("deap", tmp_path) is DATASETS["deap"]
    with pytest.raises(InputError, match="'mine', expected 'yours'"):
        get_dataset("yours", tmp_path)
