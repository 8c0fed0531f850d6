"""What a study of a folder of one's own would refuse or change, told before it is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.datasets.base import Dataset
from himoe.inspection.study import check_name, choose_filters, choose_protocol, choose_window, count_rated, rates
from himoe.inspection.survey import SubjectFacts, TrialFacts


def foreseen(root: Path, dataset: Dataset, facts: Sequence[SubjectFacts], usual: Mapping[str, FilterParams]
             ) -> list[str]:
    """One sentence for each refusal of :func:`himoe.inspection.study.plan_study`, and for each band it must lower.

    *facts* of people who could be read; *usual*: the project's rates and bands by modality. The same functions decide
    as in the study itself.
    """
    trials = [trial for one in facts for trial in one.trials]
    if not trials:
        return []  # every person without a trial is named already
    rated = {person: count for person, count in count_rated(facts).items() if count}
    said: list[str] = []
    for step in (lambda: check_name(root, dataset.name), lambda: choose_protocol(root, rated),
                 lambda: said.extend(bands(root, dataset, trials, usual))):
        try:
            step()
        except InputError as refusal:
            said.append(str(refusal))
    return said


def bands(root: Path, dataset: Dataset, trials: Sequence[TrialFacts], usual: Mapping[str, FilterParams]) -> list[str]:
    """The modalities whose rate cannot hold the project's usual band, and where a study ends it.

    Raises
    ------
    InputError
        If no trial is long enough, or none holds a sample.
    """
    window_s, _ = choose_window(root, trials)
    recorded = rates(root, trials, dataset.default_off)
    chosen, _ = choose_filters(recorded, usual, window_s)
    said = []
    for name, rate_hz in recorded.items():
        asked_hz, kept_hz = usual.get(name, FilterParams()).band_hz[1], chosen[name].band_hz[1]
        if asked_hz is not None and kept_hz is not None and kept_hz != asked_hz:
            said.append(str(bad_input(
                f"{root}, {name}", f"a rate of {rate_hz:g} Hz", f"more than {2 * asked_hz:g} Hz for its usual band up "
                f"to {asked_hz:g} Hz", f"himoe study new ends the band at {kept_hz:g} Hz")))
    return said
