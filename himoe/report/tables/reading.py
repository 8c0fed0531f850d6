"""What is common to all tables and figures: said once, so that no table has to say it again."""

from __future__ import annotations

from himoe.scoring.paper import CONTRADICTIONS

_TEXT = """
Scores
  0.71 [0.65, 0.76]: the score of all test windows of all folds pooled, averaged over dimensions and seeds, and the
  95 % interval of exactly that, people and then their trials resampled. An SD stands only where a column or note
  says over what. Every digit is in the CSV files.

Within-trial CCC
  CCC of the deviations from each trial's own mean: what is followed inside trials. A method that gets every trial's
  level right and says nothing more has 0; undefined where a trial has one rating.

Attainable (true gains and lags known)
  the ceiling on simulated data: what a decoder reaches that knows the simulator's gains and lags. Unknown for real
  recordings.

(floor)
  no network: ridge regression or boosted trees on hand-made features, means of the training labels. A network that
  loses to a floor has learned less than a user would get without it.

†
  our implementation, built from the cited paper's description and trained like Hi-MoE.

not converged
  some of the run's models were still improving when training ended; the table convergence says how many and by how
  much.

Hi-MoE against it
  Hi-MoE's score minus the row's [95 % interval, people and then trials resampled]; p: the predictions of the two
  are swapped trial by trial, Holm-corrected within data set, split, task and modalities. The verdict is Hi-MoE's:
  better, worse, not distinguishable, or untestable where so few trials cannot reach the level.
  metrics/comparisons.csv also has the signed-rank test over people, the corrected t test of Nadeau and Bengio, the
  power, and the same at the highest missing rate.

(paper), grey
  published numbers, in columns or lines of their own; * = baseline re-run by the paper's authors. ACC and F1 are in
  percent. F1 is of the class high; F1 macro the mean of the classes' F1.

—, undefined
  — = not run, not published, or no such dimension. Undefined = run, but the score does not exist (CCC of two
  constants).

Held out
  trials (protocol trial): whole trials, each person's spread over the folds; people (loso); days (session); clips
  (stimulus); later trials (sequential): the end of each person's session, in the recording's order. Windows shuffled
  (leaky) put windows of one trial on both sides: only to measure the leak.

Missing in training
  sampled: one model, trained with missing rates drawn at random. matched: one model for each rate, as in the paper.
  none: trained on complete data.

Front ends
  what turns a signal into a code: of EEG EEGNet, the log power of learned filters, or log band powers; of other
  signals small CNNs, or features of each window.

Simulated
  numbers from simulated signals compare methods under one generator. They say nothing about people and are not
  comparable with the paper's.
"""


def _entries(text: str) -> tuple[tuple[str, str], ...]:
    """(term, explanation) of blocks that blank lines separate; a block's first line is its term."""
    blocks = (block.splitlines() for block in text.strip().split("\n\n"))
    return tuple((term, " ".join(line.strip() for line in lines)) for term, *lines in blocks)


READING = _entries(_TEXT)


def contradictions() -> list[str]:
    """Where the paper contradicts itself, each once."""
    return list(dict.fromkeys(note for notes in CONTRADICTIONS.values() for note in notes))


def how_to_read() -> str:
    """The page as Markdown."""
    lines = ["# How to read the tables and figures", "", *(f"- **{term}**: {text}" for term, text in READING), "",
             "## Where the paper contradicts itself", "", *(f"- {text}" for text in contradictions())]
    return "\n".join(lines) + "\n"
