"""Batches of several models as one, from memory and from windows that lie on a device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import assert_same
from toysets import make_config, make_data, make_store

from himoe.models.batches import Assembler, Batch
from himoe.training import feeding
from himoe.training.feeding import Feed, kept_windows, padded
from himoe.training.fit import fit_task
from himoe.training.material import gather, steps_per_epoch
from himoe.training.rundata import FoldTask

CPU = torch.device("cpu")


@pytest.fixture
def kept_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the processor were a device with a memory of its own."""
    monkeypatch.setattr(feeding, "KEPT_ON", ("cpu",))


def assemblers(stamped: bool = False) -> tuple[list[Assembler], list[np.ndarray]]:
    """Three models' assemblers, of two folds that know other people, and sequences of each."""
    config = make_config()
    config = replace(config, run=replace(config.run, protocol="loso"))
    store = make_store(4, 6, 5)
    gone = store.arrays["EDA"].copy()
    gone[[0, 7, 13]] = np.nan
    store = replace(store, arrays={**store.arrays, "EDA": gone})
    if stamped:
        late_s = np.arange(len(store.index)) / 8
        store = replace(store, index=store.index.assign(stamp_s_EDA=store.index["start_s"] - late_s))
    data = make_data(config, store)
    first, second = (gather(config, data, FoldTask(fold, 0), CPU, steps_per_epoch(config, data)) for fold in (0, 1))
    materials = [first, second, first]
    return [m.assembler for m in materials], [m.sequences["train"] for m in materials]


def test_padding_fills_what_a_model_has_too_few_of() -> None:
    parts = [np.arange(6).reshape(3, 2), np.arange(2).reshape(1, 2), np.empty((0, 2), int)]
    rows = padded(parts, 4)
    assert rows.shape == (3, 4, 2)
    np.testing.assert_array_equal(rows[0, :3], parts[0])
    np.testing.assert_array_equal(rows[1, :1], parts[1])
    assert (rows[0, 3] == -1).all()
    assert (rows[1, 1:] == -1).all()
    assert (rows[2] == -1).all()
    assert padded(parts[2:]).shape == (1, 1, 2)


@pytest.mark.parametrize("stamped", [False, True])
def test_windows_on_the_device_make_the_same_batches_to_the_bit(stamped: bool, kept_on_cpu: None) -> None:
    own, sequences = assemblers(stamped)
    kept = kept_windows(own[0].store, CPU)
    assert kept is not None
    memory, device = Feed(own, CPU, None), Feed(own, CPU, kept)
    rows = padded([sequences[0][:3], sequences[1][-2:], sequences[2][:0]], 4)
    rows[1, 0, 1:] = -1  # a short sequence

    def check(one: Batch, other: Batch) -> None:
        assert list(one.x) == list(other.x)
        for a, b in zip((*one.x.values(), *one.rest()), (*other.x.values(), *other.rest()), strict=True):
            assert a.dtype == b.dtype
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)

    one = memory.batch(rows)
    check(one, device.batch(rows))
    assert (one.times_s is not None) == stamped
    for feed in (memory, device):
        feed.keep([2, 1])
    check(memory.batch(rows[[0, 1]]), device.batch(rows[[0, 1]]))
    assert not torch.equal(one.x["EEG"][0], one.x["EEG"][1])


@pytest.mark.parametrize("missing", ["sampled", "none"])
def test_a_fit_from_windows_on_the_device_is_the_same_to_the_bit(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(epochs=3, missing=missing, model={"eeg_encoder": "bands", "signal_encoder": "features"})
    data = make_data(config, make_store())
    plain = fit_task(config, data, FoldTask(1, 0))
    made: list[object] = []
    real = feeding._Kept

    def noted(*parts: object) -> object:
        made.append(parts)
        return real(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(feeding, "KEPT_ON", ("cpu",))
    monkeypatch.setattr(feeding, "_Kept", noted)
    assert_same(fit_task(config, data, FoldTask(1, 0)), plain)
    assert made


def test_windows_that_would_fill_the_device_stay_in_memory(monkeypatch: pytest.MonkeyPatch, kept_on_cpu: None) -> None:
    store = make_store()
    needed = sum(array.nbytes for array in store.arrays.values())
    monkeypatch.setattr(feeding, "free_bytes", lambda device: 2 * needed)
    kept = kept_windows(store, CPU)
    assert kept is not None
    np.testing.assert_array_equal(kept["EEG"].numpy(), store.arrays["EEG"])
    monkeypatch.setattr(feeding, "free_bytes", lambda device: 2 * needed - 1)
    assert kept_windows(store, CPU) is None
