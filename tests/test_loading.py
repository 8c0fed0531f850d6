"""People read one by one, as one set of windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toysets import make_store

import himoe
from himoe.core.recordings import Annotations, Recording, Signal
from himoe.prepare.loading import Data, join, later, one_source
from himoe.prepare.windowset import Windows


def people() -> tuple[Windows, Windows]:
    store = make_store(2, 3, 4)
    windows = Windows(store.index, dict(store.arrays), store.meta)
    return windows.people("s00"), windows.people("s01")


def in_unit(windows: Windows, unit: str) -> Windows:
    entry = {**windows.meta.modalities["EDA"], "unit": unit}
    return replace(windows, meta=replace(windows.meta, modalities={**windows.meta.modalities, "EDA": entry}))


def test_a_sensor_that_never_spoke_says_nothing_about_its_unit() -> None:
    one, other = people()
    silent = in_unit(replace(one, arrays={**one.arrays, "EDA": np.full_like(one.arrays["EDA"], np.nan)},
                             index=one.index.assign(completeness_EDA=np.float32(0))), "uS")
    for parts in ([silent, other], [other, silent]):
        joined = join(parts)
        assert joined.meta.modalities["EDA"]["unit"] == "a.u."
        assert np.isnan(joined.people("s00").arrays["EDA"]).all()
        np.testing.assert_array_equal(joined.people("s01").arrays["EDA"], other.arrays["EDA"])
    assert join([silent, replace(silent, index=silent.index.assign(subject="s02"))]).modalities == ("EDA", "EEG")
    with pytest.raises(himoe.InputError, match=r"s00: EDA: found EDA0 at 4 Hz in uS, expected EDA0 at 4 Hz in a\.u\."):
        join([other, in_unit(one, "uS")])


def test_who_has_no_annotation_has_no_label_where_others_have() -> None:
    one, other = people()
    once = replace(one, meta=replace(one.meta, label_source="trial"))
    joined = join(one_source([once, other]))
    assert joined.meta.label_source == "continuous"
    assert np.isnan(joined.people("s00").labels).all()
    np.testing.assert_array_equal(joined.people("s01").labels, other.labels)
    with pytest.raises(himoe.InputError, match="labels by trial"):
        join([once, other])


@pytest.mark.parametrize(("truth", "label"), [(True, "DREAMER (simulated)"), (False, "DREAMER (real, local files)")])
def test_files_that_the_simulator_left_are_called_simulated(tmp_path: Path, truth: bool, label: str) -> None:
    if truth:
        (tmp_path / "truth.json").write_text("{}", encoding="utf-8")
    from himoe.datasets.dreamer import DATASET

    data = Data(DATASET, tmp_path, {}, ("1",))
    assert (data.label, data.provenance["simulated"]) == (label, truth)


def test_what_is_left_of_a_trial_keeps_its_ratings_where_they_were() -> None:
    """Labels of windows that begin 1.5 s later are those of the same stretch in the whole trial."""
    time_s = np.arange(0, 20, 0.25)
    signal = Signal(np.arange(80, dtype=np.float32)[None], 4.0, ("a",), "uS")
    whole = Recording("mia", "t1", "clip", 20.0, {"EDA": signal},
                      {}, Annotations(time_s, {"valence": np.sin(time_s)}))
    cut = {name: Windows.from_recordings([one], 4.0, step_s, dimensions=("valence",))
           for name, one, step_s in (("fine", whole, 0.5), ("later", later(whole, 1.5), 2.0))}
    rows = np.isclose(cut["fine"].index["start_s"] % 2, 1.5)
    np.testing.assert_allclose(cut["later"].labels, cut["fine"].labels[rows], rtol=1e-12)
    np.testing.assert_array_equal(cut["later"].arrays["EDA"], cut["fine"].arrays["EDA"][rows])
