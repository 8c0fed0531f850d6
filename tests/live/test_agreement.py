"""Live and offline agree where filters and context do, in chunks of any size; and what they change otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from live_sessions import (
    CHANNELS,
    DURATION_S,
    FILTERS,
    LENGTH_S,
    RATES_HZ,
    STEP_S,
    UNITS,
    make_model,
    make_session,
    windows_of,
)

import himoe
from himoe.commands.streaming import run as show_all
from himoe.core.recordings import Annotations, Recording, Session
from himoe.live.engine import Update, stream
from himoe.live.filters import causal_signal
from himoe.live.outputs import prediction_texts, rows_of, table_file
from himoe.live.predictor import reads_times
from himoe.live.sensor import SensorInfo
from himoe.live.sources import Part, Replay, Tick
from himoe.prepare.windowset import Windows
from himoe.scoring.tables import read_predictions


def table(updates: list[Update]) -> np.ndarray:
    """Predictions (n, D)."""
    return np.array([[one.value for one in update.predicted.values()] for update in updates])


def causal_windows(session: Session, asynchrony: himoe.Asynchrony | None = None) -> Windows:
    """The session's windows with the causal filters, made offline and in one piece."""
    trial = session.trials[0]
    signals = {m: causal_signal(m, s, FILTERS[m]) for m, s in session.signals.items()}
    recording = Recording(session.subject, trial.trial, trial.stimulus, trial.duration_s, signals, trial.ratings)
    return Windows.from_recordings([recording], LENGTH_S, STEP_S, dimensions=("valence", "arousal"),
                                   asynchrony=asynchrony)


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


class Delayed:
    """The session as a clocked source; what EDA has measured up to one of *edges_s* comes *late_s* after it."""

    label = "delayed"

    def __init__(self, session: Session, edges_s: np.ndarray, late_s: float) -> None:
        self.session, self.edges_s, self.late_s = session, edges_s, late_s

    def sensors(self) -> dict[str, SensorInfo]:
        return {m: SensorInfo(s.sfreq_hz, s.ch_names, s.unit) for m, s in self.session.signals.items()}

    def parts(self) -> Iterator[Part]:
        yield Part(self.ticks(), 0.0, subject="p1", set_name="own")

    def ticks(self) -> Iterator[Tick]:
        for now_s in np.arange(0.25, DURATION_S + 0.1, 0.25):
            passed_s = self.edges_s[self.edges_s <= now_s - self.late_s + 1e-9]
            until_s = {"EDA": float(passed_s[-1]) if len(passed_s) else 0.0}
            chunks = []
            for m, s in self.session.signals.items():
                number = np.arange(self.sent.get(m, 0), round(until_s.get(m, now_s) * s.sfreq_hz))
                self.sent[m] = number[-1] + 1 if len(number) else self.sent.get(m, 0)
                chunks.append((m, number / s.sfreq_hz, s.data[:, number]))
            yield Tick([chunk for chunk in chunks if len(chunk[1])], float(now_s))

    @cached_property
    def sent(self) -> dict[str, int]:
        return {}


@pytest.fixture(scope="module", params=[("MulT", {}), ("HiMoE", {"alignment": {"max_lag_s": 3.0}})],
                ids=["mult", "lags"])
def time_reader(request: pytest.FixtureRequest) -> himoe.Fitted:
    """A model that reads the windows' own times."""
    kind, options = request.param
    return make_model(epochs=1, kind=kind, **options)


@pytest.mark.parametrize(("timing", "edges_s", "late_s"), [
    ({"arrives_s": 2.0}, np.arange(0, 23, 0.25), 2.0), ({"every_s": 3.0}, np.arange(1, 23, 3.0), 0.0)])
def test_a_model_that_reads_times_gets_them_as_offline(time_reader: himoe.Fitted, timing: dict[str, float],
                                                       edges_s: np.ndarray, late_s: float) -> None:
    """A sensor whose samples arrive 2 s late, and one that sends every 3 s, when its own next window is whole."""
    session = make_session("p1", 10, "t0")
    windows = causal_windows(session, himoe.Asynchrony({"EDA": himoe.SensorTiming(**timing)}))
    updates = list(stream(time_reader, Delayed(session, edges_s, late_s), wait_s=0.0))
    off_s = (windows.index["stamp_s_EDA"] - windows.index["start_s"]).to_numpy()
    assert set(np.round(off_s, 6)) == ({-2.0} if late_s else {0.0, -1.0, -2.0})
    expected = without_a_future(time_reader, windows)
    np.testing.assert_allclose(table(updates), expected, atol=1e-5)
    unknown = windows.index.assign(stamp_s_EDA=windows.index["start_s"])
    assert not late_s or np.abs(without_a_future(time_reader, replace(windows, index=unknown)) - expected).max() > 1e-4


def test_only_models_that_read_times_get_older_windows(time_reader: himoe.Fitted, model: himoe.Fitted) -> None:
    assert reads_times(time_reader.method)
    assert not reads_times(model.method)


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


def test_a_window_rated_over_time_has_its_own_rating(model: himoe.Fitted) -> None:
    """Of valence until 15 s; arousal was rated as a whole, which is no rating over time."""
    session = make_session("p1", 10, "t0")
    time_s = np.arange(0, 15, 0.5)
    over_time = Annotations(time_s, {"valence": 5 + np.sin(time_s)})
    rated = replace(session, trials=(replace(session.trials[0], annotations=over_time),))
    updates = stream(model, Replay([rated], None, set_name="own"))
    found = [[row["rating"] for row in rows_of(update, model.description.task)] for update in updates]
    expected = windows_of(rated).index[["valence", "arousal"]].to_numpy()
    assert np.isfinite(expected).sum(axis=0).tolist() == [15, 0]
    np.testing.assert_allclose(found, expected)


def test_a_stranger_is_scaled_by_own_windows_so_far(model: himoe.Fitted) -> None:
    """Somebody with five times the amplitude: the first predictions are off, later ones as if it were one."""
    session = make_session("p1", 10, "t0", 62.0)
    loud = replace(session, subject="stranger", signals={
        m: replace(s, data=s.data * 5) if m == "EMG" else s for m, s in session.signals.items()})
    quiet = replace(session, subject="stranger")
    found = [table(list(stream(model, Replay([one], None)))) for one in (quiet, loud)]
    apart = np.abs(found[0] - found[1]).max(axis=1)
    assert apart[:3].mean() > 2 * apart[-10:].mean()
