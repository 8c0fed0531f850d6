"""Everything that is wrong with a data set's raw folder, one sentence each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.datasets import DATASETS
from himoe.datasets.base import COLLECT, Dataset
from himoe.inspection import WINDOW_S
from himoe.inspection.foreseen import foreseen
from himoe.inspection.locate import Place
from himoe.inspection.rated import rated_trials
from himoe.inspection.survey import Form, SubjectFacts, VideoFacts, is_refusal, read_subjects
from himoe.prepare.signals import FLAT, MIN_REFERENCE, standard_places

LEVELS = ("error", "missing", "note")
GAP_SHARE = 0.05  # a smaller share of lost samples is ordinary
EEG_UV = (0.1, 5000.0)  # standard deviation of an EEG as recorded, drift included
SHORT_S = 1.0  # a video may be that much shorter than its trial
EXAMPLES = 4


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    ``level``: ``error`` (a subject or file cannot be read, recordings do not fit together, a trial stands there
    twice), ``missing`` (an expected piece is absent, the rest can be used) or ``note`` (worth a look).
    """

    level: str
    text: str


def check_place(place: Place, jobs: int = 1, window_s: float = WINDOW_S,
                usual: Mapping[str, FilterParams] | None = None) -> list[Finding]:
    """Read everything of a raw folder, in every layout found there; what is wrong, worst first.

    A trial shorter than *window_s* is named: later it gives no window. With *usual*, rates and bands by modality, what
    a study of a folder of one's own would refuse or change is noted, too.
    """
    findings = [finding for layout in place.layouts or (None,)
                for finding in _check(place, layout, jobs, window_s, usual)]
    unique = list(dict.fromkeys(findings))  # layouts share files
    return sorted(unique, key=lambda finding: LEVELS.index(finding.level))


def _check(place: Place, layout: str | None, jobs: int, window_s: float,
           usual: Mapping[str, FilterParams] | None) -> Iterator[Finding]:
    options = place.options(layout)
    try:
        inventory = place.dataset.inspect(place.root, options)
    except InputError as error:
        yield Finding("error", str(error))
        return
    for name in inventory.missing:
        yield _finding("missing", f"{place.root / name}", "no such file or folder", "it to exist",
                       "fetch it if it was published")
    yield from (Finding("error" if is_refusal(problem) else "missing", problem) for problem in inventory.problems)
    facts = list(read_subjects(place.dataset, place.root, options | COLLECT, inventory.subjects, jobs))
    yield from (Finding("error", one.error) for one in facts if one.error is not None)
    where = str(place.root) if layout is None else f"{place.root}, layout {layout}"
    for check in CHECKS.values():
        yield from check(where, place.dataset, facts)
    yield from trials_long_enough(where, facts, window_s)
    if usual is not None and place.dataset.name not in DATASETS:
        yield from (Finding("note", said) for said in foreseen(place.root, place.dataset, _whole(facts), usual))


def _finding(level: str, where: str, found: object, expected: object, todo: str) -> Finding:
    return Finding(level, str(bad_input(where, found, expected, todo)))


def _whole(facts: Iterable[SubjectFacts]) -> list[SubjectFacts]:
    return [one for one in facts if one.error is None]


def _some(trials: Sequence[str]) -> str:
    """A few of the trials by name."""
    rest = " ..." if len(trials) > EXAMPLES else ""
    return f"({' '.join(trials[:EXAMPLES])}{rest})"


def trials_there(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """Every subject has trials, and as many as most have."""
    counts = {one.subject: len(one.trials) for one in _whole(facts)}
    usual, times = Counter(counts.values()).most_common(1)[0] if counts else (0, 0)
    for subject, count in counts.items():
        if count == 0:
            yield _finding("error", f"{where}, {subject}", "no trial", "at least one", "leave the subject out")
        elif count != usual and 2 * times > len(counts):
            yield _finding("note", f"{where}, {subject}", f"{count} trials", f"{usual}, as most subjects have",
                           "see whether recordings are lost")


def trials_long_enough(where: str, facts: Sequence[SubjectFacts], window_s: float) -> Iterator[Finding]:
    """Every trial holds at least one window."""
    for one in _whole(facts):
        short = [f"{trial.trial}: {trial.duration_s:g} s" for trial in one.trials if trial.duration_s < window_s - 1e-9]
        if short:
            level = "missing" if len(short) == len(one.trials) else "note"
            yield _finding(level, f"{where}, {one.subject}",
                           f"{len(short)} of {len(one.trials)} trials shorter than a window {_some(short)}",
                           f"{window_s:g} s or more", "these trials are left out later")


def montage_usable(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """The EEG of a folder of one's own can be re-referenced and its electrodes have places."""
    if dataset.name in DATASETS or "EEG" not in dataset.modalities:
        return
    names = dataset.modalities["EEG"].names
    if len(names) < MIN_REFERENCE:
        yield _finding("note", f"{where}, EEG", f"{len(names)} electrode{'s' * (len(names) > 1)}",
                       f"{MIN_REFERENCE} or more for a common average", "the recorded reference is kept")
    places = standard_places(names)
    unplaced = [name for index, name in enumerate(names) if index not in places]
    if unplaced:
        yield _finding("note", f"{where}, EEG", f"electrodes without a place of their own {_some(unplaced)}",
                       "names of the 10-05 system", "where one is bad, it becomes the mean of the others")


def units_plausible(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """The EEG of a folder of one's own is as large as an EEG can be in the unit that was said."""
    if dataset.name in DATASETS or "EEG" not in dataset.modalities:
        return
    unit = dataset.modalities["EEG"].unit
    for one in _whole(facts):
        spreads = [trial.signals["EEG"].spread for trial in one.trials if "EEG" in trial.signals]
        known = [spread for spread in spreads if np.isfinite(spread)]
        microvolts = float(np.median(known)) * FLAT["uV"] / FLAT[unit] if known and unit in FLAT else EEG_UV[0]
        if not EEG_UV[0] <= microvolts <= EEG_UV[1]:
            yield _finding("note", f"{where}, {one.subject}, EEG", f"a standard deviation of {microvolts:.3g} uV",
                           f"{EEG_UV[0]:g} to {EEG_UV[1]:g} uV", f"see whether the unit is {unit}")


def modalities_there(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """Every modality of the form holds samples in every trial (FACE is told by its videos)."""
    for one in _whole(facts):
        for name in dataset.modalities:
            absent = [trial.trial for trial in one.trials
                      if name not in trial.signals or trial.signals[name].empty]
            if absent and name != "FACE" and name not in dataset.default_off:
                yield _finding("missing", f"{where}, {one.subject}, {name}",
                               f"no usable sample in {len(absent)} of {len(one.trials)} trials {_some(absent)}",
                               "some in every trial", "these trials go without it")


def forms_agree(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """Channels, rates and units are the same over subjects and trials, and channels are those of the form."""
    seen: dict[str, Counter[Form]] = defaultdict(Counter)
    for one in _whole(facts):
        for trial in one.trials:
            for name, signal in trial.signals.items():
                seen[name][signal.form] += 1
    for name, forms in seen.items():
        usual = forms.most_common(1)[0][0]
        for one in _whole(facts):
            other = Counter(trial.signals[name].form for trial in one.trials
                            if name in trial.signals and trial.signals[name].form != usual)
            for form, count in other.items():
                yield _finding("error", f"{where}, {one.subject}, {name}",
                               f"{form} in {count} of {len(one.trials)} trials", f"{usual}, as most trials have",
                               "leave these recordings out or bring them to one form")
        published = dataset.modalities.get(name)
        if published is not None and usual.channels != published.names:
            yield _finding("note", f"{where}, {name}", f"channels {' '.join(usual.channels)}",
                           f"{' '.join(published.names)}, as published", "see whether this is the set's own file")


def ratings_there(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """Every trial is rated on every dimension; who has no label at all is named once."""
    rated = rated_trials(facts)
    for one in _whole(facts):
        if one.trials and not rated[one.subject]:
            yield _finding("missing", f"{where}, {one.subject}, ratings", f"none in {len(one.trials)} of "
                           f"{len(one.trials)} trials", "one per trial",
                           f"{one.subject} is kept for prediction and left out of the folds")
            continue
        for dimension in dataset.dimensions:
            absent = [trial.trial for trial in one.trials if np.isnan(trial.ratings.get(dimension, np.nan))]
            if absent:
                yield _finding("missing", f"{where}, {one.subject}, rating of {dimension}",
                               f"none in {len(absent)} of {len(one.trials)} trials {_some(absent)}",
                               "one per trial", "these trials carry no label")


def signals_alive(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """Gaps, channels without a sample, channels that never change."""
    for one in _whole(facts):
        for name in dict.fromkeys(name for trial in one.trials for name in trial.signals):
            place = f"{where}, {one.subject}, {name}"
            having = [trial for trial in one.trials if name in trial.signals and not trial.signals[name].empty]
            values = sum(trial.signals[name].values for trial in having)
            share = sum(trial.signals[name].gaps for trial in having) / max(values, 1)
            if share >= GAP_SHARE:
                yield _finding("note", place, f"{100 * share:.1f} % of the samples lost (NaN)",
                               f"less than {100 * GAP_SHARE:g} %", "windows with too many gaps are left out later")
            signals = [trial.signals[name] for trial in having]
            yield from _channels(place, "no usable sample", [signal.lost for signal in signals])
            yield from _channels(place, "one constant value", [signal.constant for signal in signals])


def _channels(place: str, what: str, trials: Sequence[tuple[str, ...]]) -> Iterator[Finding]:
    counts = Counter(channel for names in trials for channel in names)
    if counts:
        listed = ", ".join(f"{channel} in {count} of {len(trials)} trials" for channel, count in counts.items())
        yield _finding("note", place, f"{what} in channel {listed}", "signals that vary", "look at the electrode")


def no_twins(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """No two trials hold identical samples, of one subject or of two (modalities of the stimulus apart)."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in _whole(facts):
        for trial in one.trials:
            for name, signal in trial.signals.items():
                if signal.digest is not None and name not in dataset.default_off:
                    places[name, signal.digest].append(f"{one.subject} {trial.trial}")
    twins: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for (name, _), trials in places.items():
        if len(trials) > 1:
            twins[tuple(trials)].append(name)
    for copies, names in twins.items():
        yield _finding("error", f"{where}, trials {' and '.join(copies)}", f"identical samples in {' '.join(names)}",
                       "every trial once", "leave the copies out: they could stand on both sides of a split")


def videos_there(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """Face videos can be read, exist for every trial, and are as long and of one kind.

    A trial without one is a note: which videos are missing of those published, the set's own look says.
    """
    videos = [video for one in facts for video in one.videos]
    yield from (Finding("error", video.error) for video in videos if video.error is not None)
    if dataset.videos is None:
        return
    if not videos:
        yield _finding("note", where, "no face video", "a video a trial", "all trials go without FACE")
        return
    kinds = Counter(_kind(video) for video in videos if video.error is None)
    for one in _whole(facts):
        there = {video.trial: video for video in one.videos}
        absent = [trial.trial for trial in one.trials if trial.trial not in there]
        if absent:
            yield _finding("note", f"{where}, {one.subject}, face videos",
                           f"none of {len(absent)} of {len(one.trials)} trials {_some(absent)}", "a video a trial",
                           "these trials go without FACE")
        for trial in one.trials:
            if trial.trial in there and there[trial.trial].error is None:
                yield from _video(there[trial.trial], trial.duration_s, kinds.most_common(1)[0][0])


def _kind(video: VideoFacts) -> str:
    return f"{video.width_px} x {video.height_px} at {video.fps_hz:.4g} Hz"


def _video(video: VideoFacts, duration_s: float, usual: str) -> Iterator[Finding]:
    if video.duration_s < duration_s - SHORT_S:
        yield _finding("note", str(video.path), f"{video.duration_s:.1f} s", f"{duration_s:.1f} s, as the trial",
                       "what is left of the trial goes without FACE")
    if _kind(video) != usual:
        yield _finding("note", str(video.path), _kind(video), f"{usual}, as most videos have",
                       "see whether this is the set's own file")


def reading_notes(where: str, dataset: Dataset, facts: Sequence[SubjectFacts]) -> Iterator[Finding]:
    """What the reader itself noted: what it found and did, what it had to guess."""
    yield from (Finding("error", doubt) for one in facts for doubt in one.doubts)
    yield from (Finding("note", note) for one in facts for note in one.notes)


CHECKS: Mapping[str, Callable[[str, Dataset, Sequence[SubjectFacts]], Iterator[Finding]]] = {
    "trials": trials_there, "modalities": modalities_there, "forms": forms_agree, "ratings": ratings_there,
    "signals": signals_alive, "twins": no_twins, "videos": videos_there, "reading": reading_notes,
    "montage": montage_usable, "units": units_plausible,
}
