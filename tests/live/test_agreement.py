"""Live and offline agree where filters and context do, in chunks of any size; and what they change otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from live_sessions import CHANNELS, FILTERS, LENGTH_S, RATES_HZ, STEP_S, UNITS, make_model, make_session, windows_of

import himoe
from himoe.commands.streaming import run as show_all
from himoe.core.recordings import Recording, Session
from himoe.live.engine import Update, stream
from himoe.live.filters import causal_signal
from himoe.live.outputs import prediction_texts, table_file
from himoe.live.sources import Replay
from himoe.prepare.windowset import Windows
from himoe.scoring.tables import read_predictions


def table(updates: list[Update]) -> np.ndarray:
    """Predictions (n, D)."""
    return np.array([[one.value for one in update.predicted.values()] for update in updates])


def causal_windows(session: Session) -> Windows:
    """The session's windows with the causal filters, made offline and in one piece."""
    trial = session.trials[0]
    signals = {m: causal_signal(m, s, FILTERS[m]) for m, s in session.signals.items()}
    recording = Recording(session.subject, trial.trial, trial.stimulus, trial.duration_s, signals, trial.ratings)
    return Windows.from_recordings([recording], LENGTH_S, STEP_S, dimensions=("valence", "arousal"))


def without_a_future(model: himoe.Fitted, windows: Windows) -> np.ndarray:
    """Predictions (n, D) by the library's own predict, of each window as the last one of its sequence."""
    length = model.description.sequence_length
    rows = [model.predict(windows[max(0, k - length + 1):k + 1])["predicted"].to_numpy()[-2:]
            for k in range(len(windows))]
    return np.array(rows)


def test_the_replay_gives_what_the_same_filters_give_offline(model: himoe.Fitted) -> None:
    session = make_session("p1", 10, "t0")
    updates = list(stream(model, Replay([session], None, set_name="own")))
    assert len(updates) == 19
    assert [u.window for u in updates] == list(range(19))
    assert [u.start_s for u in updates] == pytest.approx([STEP_S * k for k in range(19)])
    assert {line.state for u in updates for line in u.sensors} == {"alive"}
    found, expected = table(updates), without_a_future(model, causal_windows(session))
    assert expected.std(axis=0).min() > 0.003  # they differ from window to window
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_zero_phase_filters_and_the_future_change_little(model: himoe.Fitted) -> None:
    session = make_session("p1", 10, "t0")
    found = table(list(stream(model, Replay([session], None, set_name="own"))))
    offline = model.predict(windows_of(session))["predicted"].to_numpy().reshape(-1, 2)
    causal = without_a_future(model, windows_of(session))
    assert 1e-6 < np.abs(found - causal).mean() < 0.5  # the filters' part
    assert 1e-6 < np.abs(offline - causal).mean() < 0.5  # the context's part


def shuffled_chunks(session: Session, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Chunks of odd lengths, sensor after sensor, in the order of their ends."""
    rng = np.random.default_rng(seed)
    chunks = []
    for modality, signal in session.signals.items():
        first = 0
        while first < signal.data.shape[1]:
            last = first + int(rng.integers(1, 0.7 * signal.sfreq_hz))
            times = np.arange(first, min(last, signal.data.shape[1])) / signal.sfreq_hz
            chunks.append((modality, times, signal.data[:, first:last]))
            first = last
    return iter(sorted(chunks, key=lambda chunk: chunk[1][-1]))


def test_an_iterator_of_odd_chunks_gives_the_same(model: himoe.Fitted) -> None:
    session = make_session("p2", 21, "t1")
    played = table(list(stream(model, Replay([session], None, set_name="own"))))
    found = list(stream(model, shuffled_chunks(session, 3), RATES_HZ, ch_names=CHANNELS, units=UNITS, person="p2"))
    np.testing.assert_allclose(table(found), played, atol=1e-5)


def test_channels_are_found_by_name(model: himoe.Fitted) -> None:
    session = make_session("p0", 3)
    emg = session.signals["EMG"]
    turned = replace(emg, data=emg.data[::-1].copy(), ch_names=emg.ch_names[::-1])
    found = [table(list(stream(model, Replay([replace(session, signals={**session.signals, "EMG": one})], None,
                                             set_name="own")))) for one in (emg, turned)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_what_is_not_sent_is_absent_and_said_so(model: himoe.Fitted) -> None:
    """As predict does for windows without the modality; its interval is that of one sensor less."""
    session = make_session("p0", 3)
    part = replace(session, signals={m: session.signals[m] for m in ("EMG", "EDA")})
    updates = list(stream(model, Replay([part], None, set_name="own")))
    np.testing.assert_allclose(table(updates), without_a_future(model, causal_windows(part)), atol=1e-5)
    assert [(line.modality, line.state, line.used) for line in updates[-1].sensors if line.modality == "EEG"] == [
        ("EEG", "absent", False)]


def test_classes_are_written_as_predict_has_them(tmp_path: Path) -> None:
    model = make_model("classification", (3.0, 5.0, 6.5), epochs=1)
    session = make_session("p1", 10, "t0")
    windows = causal_windows(session)
    updates = list(stream(model, Replay([session], None, set_name="own")))
    with table_file(tmp_path / "live.csv", model.description.task) as made:
        show_all(iter(updates), [made])
    live = pd.read_csv(tmp_path / "live.csv", dtype=dict.fromkeys(("session", "trial", "stimulus"), str))
    expected = pd.concat([model.predict(windows[max(0, k - 5):k + 1])[-2:] for k in range(19)], ignore_index=True)
    assert list(live) == [*expected, "sensors", "latency_s"]
    assert "probability_3" in live
    chance = live.loc[0, [f"probability_{k}" for k in range(4)]].max()
    assert prediction_texts(updates[0])[0] == f"valence class {live['class'][0]} ({100 * chance:.0f} %)"
    assert set(live["rating"]) < {0.0, 1.0, 2.0, 3.0}
    pd.testing.assert_frame_equal(live[list(expected)], expected, check_dtype=False, atol=1e-5)
    assert set(himoe.score(read_predictions(tmp_path / "live.csv"), draws=0)["metric"]) == {"accuracy", "f1_macro"}


def test_a_stranger_is_scaled_by_own_windows_so_far(model: himoe.Fitted) -> None:
    """Somebody with five times the amplitude: the first predictions are off, later ones as if it were one."""
    session = make_session("p1", 10, "t0", 62.0)
    loud = replace(session, subject="stranger", signals={
        m: replace(s, data=s.data * 5) if m == "EMG" else s for m, s in session.signals.items()})
    quiet = replace(session, subject="stranger")
    found = [table(list(stream(model, Replay([one], None)))) for one in (quiet, loud)]
    apart = np.abs(found[0] - found[1]).max(axis=1)
    assert apart[:3].mean() > 2 * apart[-10:].mean()
