"""Action units of the face, and which of them stand together in published prototypes of emotions.

Legend: A action units.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from himoe.core.errors import bad_input

# The twelve units coded in DISFA (Mavadati et al. 2013, doi 10.1109/T-AFFC.2013.4), with their names in FACS.
ACTION_UNITS = {
    1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser", 6: "cheek raiser",
    9: "nose wrinkler", 12: "lip corner puller", 15: "lip corner depressor", 17: "chin raiser", 20: "lip stretcher",
    25: "lips part", 26: "jaw drop",
}
AU_NAMES = tuple(f"AU{number}" for number in ACTION_UNITS)

Prototypes = Mapping[str, tuple[int, ...]]

# EMFACS (Friesen & Ekman 1983, unpublished manual, University of California, San Francisco), without intensities and
# sides, as listed in Wikipedia, "Facial Action Coding System", and in figure 7 of doi 10.1038/s41598-024-62902-6.
EMFACS: Prototypes = {
    "anger": (4, 5, 7, 23), "contempt": (12, 14), "disgust": (9, 15, 16), "fear": (1, 2, 4, 5, 7, 20, 26),
    "happiness": (6, 12), "sadness": (1, 4, 15), "surprise": (1, 2, 5, 26),
}

# The most intense combinations of table 11-1 of the FACS manual (Ekman & Friesen 1978, Consulting Psychologists
# Press), as listed at http://www.dgps.de/fachgruppen/methoden/mpr-online/issue4/art3/node4.html.
FACS_1978: Prototypes = {
    "anger": (4, 5, 7, 24), "disgust": (4, 10, 17), "fear": (1, 2, 4, 5, 20, 25),
    "joy": (6, 12, 25), "sadness": (1, 4, 15), "surprise": (1, 2, 5, 26),
}

PROTOTYPES: dict[str, Prototypes] = {"emfacs": EMFACS, "facs_1978": FACS_1978}
LEARNED = "learned"


def co_occurrence(prototypes: Prototypes) -> np.ndarray:
    """Share of prototypes with either unit that hold both (Jaccard index), (A, A) in 0..1, diagonal 0.

    Units that are in :data:`ACTION_UNITS` but in no prototype have no neighbour.
    """
    member = np.array([[number in units for units in prototypes.values()] for number in ACTION_UNITS], dtype=float)
    both = member @ member.T
    count = member.sum(1)
    either = count[:, None] + count - both
    shares = both / np.maximum(either, 1.0)
    np.fill_diagonal(shares, 0.0)
    return shares


def adjacency(name: str) -> np.ndarray:
    """The published co-occurrence called *name*, (A, A) in the order of :data:`AU_NAMES`.

    Raises
    ------
    InputError
        For a name that is not in :data:`PROTOTYPES`.
    """
    if name not in PROTOTYPES:
        raise bad_input("name of a co-occurrence of action units", repr(name), " or ".join(PROTOTYPES),
                        "correct the name")
    return co_occurrence(PROTOTYPES[name])
