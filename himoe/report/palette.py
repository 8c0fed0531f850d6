"""How each method and dimension looks, in print and on screen: one colour, marker and dash each.

Colours are those of Okabe & Ito (Color Universal Design, 2008), with a few darker ones added where they run out.
Nobody has to tell them apart by colour alone: every marker and every dash is used once.
This module draws nothing and imports no drawing library.
"""

from __future__ import annotations

from dataclasses import dataclass

# A leaky split and the ratings themselves belong to no method.
LEAKY_HATCH = "////"
TRUTH_COLOUR = "#000000"


@dataclass(frozen=True)
class Look:
    """Colour as ``#RRGGBB``, a matplotlib marker, and a dash: lengths on and off in line widths, () = solid.

    A marker is a name, or (n, 1, 0): a star with n points.
    """

    colour: str
    marker: str | tuple[int, int, int]
    dash: tuple[float, ...]


LOOKS: dict[str, Look] = {
    "himoe": Look("#0072B2", "o", ()),
    "himoe-lags": Look("#1B7F3B", (3, 1, 0), (5, 3)),
    "himoe-drawn": Look("#B8336A", (5, 1, 180), (7, 1, 1, 1)),
    "late_fusion": Look("#E69F00", "s", (5, 1.5)),
    "bilstm": Look("#009E73", "^", (3, 1.5)),
    "tacoformer": Look("#CC79A7", "D", (6, 1.5, 1, 1.5)),
    "ianet": Look("#D55E00", "v", (4, 1, 1, 1, 1, 1)),
    "mfst_rnn": Look("#8C6D31", "X", (8, 2)),
    "cafnet": Look("#000000", "*", (1.5, 1)),
    "husformer": Look("#56B4E9", "P", (8, 1.5, 3, 1.5)),
    "mult": Look("#AA4499", "d", (2, 1)),
    "fusemoe": Look("#44AA99", (4, 1, 0), (9, 1)),
    "flex_moe": Look("#661100", (6, 1, 0), (5, 1, 2, 1)),
    "momke": Look("#6699CC", (8, 1, 0), (6, 3)),
    "features_ridge": Look("#7A7A00", "H", (4, 2, 1, 2)),
    "features_ridge_person": Look("#5C4A1F", "8", (2, 1, 2, 3)),
    "features_gbdt": Look("#7F3C8D", "<", (3, 1, 1, 1)),
    "mean": Look("#8F8F8F", ">", (1, 1.5)),
    "mean_subject": Look("#6E6E6E", "p", (1, 3)),
    "mean_stimulus": Look("#4D4D4D", "h", (2, 3)),
}

# For methods that have no look of their own yet (Tol's muted scheme, 2021).
SPARE_LOOKS: tuple[Look, ...] = (
    Look("#332288", "d", (5, 3)), Look("#117733", "H", (7, 1, 1, 1)),
    Look("#882255", "8", (2, 1.5)), Look("#2F8F83", "d", (4, 2, 2, 2)),
)

DIMENSION_LOOKS: dict[str, Look] = {
    "valence": Look("#000000", "o", ()),
    "arousal": Look("#D55E00", "s", (5, 1.5)),
    "dominance": Look("#0072B2", "^", (1.5, 1)),
    "liking": Look("#009E73", "D", (6, 1.5, 1, 1.5)),
}


def look(method: str, k: int = 0) -> Look:
    """The look of *method*; one without its own gets the *k*-th spare look (they repeat)."""
    return LOOKS.get(method, SPARE_LOOKS[k % len(SPARE_LOOKS)])


def dimension_look(dimension: str, k: int = 0) -> Look:
    """The look of a rated dimension, or the *k*-th spare look (they repeat)."""
    return DIMENSION_LOOKS.get(dimension, SPARE_LOOKS[k % len(SPARE_LOOKS)])
