"""What ``himoe score`` does."""

from __future__ import annotations

import argparse

from himoe.scoring.frames import score as score_frame
from himoe.scoring.tables import read_predictions, scores_text


def score(options: argparse.Namespace) -> None:
    """``himoe score``."""
    frame = read_predictions(options.predictions)
    classes = options.classes
    print(scores_text(score_frame(frame, options.by, "classification" if classes else None, classes)))
