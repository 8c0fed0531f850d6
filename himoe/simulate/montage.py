"""Where electrodes sit: places in the 10-20 system, and the caps of the data sets."""

from __future__ import annotations

# Head seen from above, nose up, radius about 1: places in the 10-20 system, rounded.
_GENEVA_POSITIONS: dict[str, tuple[float, float]] = {
    "Fp1": (-0.29, 0.88), "AF3": (-0.35, 0.70), "F3": (-0.40, 0.48), "F7": (-0.73, 0.54),
    "FC5": (-0.68, 0.25), "FC1": (-0.22, 0.24), "C3": (-0.45, 0.00), "T7": (-0.90, 0.00),
    "CP5": (-0.68, -0.25), "CP1": (-0.22, -0.24), "P3": (-0.40, -0.48), "P7": (-0.73, -0.54),
    "PO3": (-0.35, -0.70), "O1": (-0.29, -0.88), "Oz": (0.00, -0.92), "Pz": (0.00, -0.47),
    "Fp2": (0.29, 0.88), "AF4": (0.35, 0.70), "Fz": (0.00, 0.47), "F4": (0.40, 0.48),
    "F8": (0.73, 0.54), "FC6": (0.68, 0.25), "FC2": (0.22, 0.24), "Cz": (0.00, 0.00),
    "C4": (0.45, 0.00), "T8": (0.90, 0.00), "CP6": (0.68, -0.25), "CP2": (0.22, -0.24),
    "P4": (0.40, -0.48), "P8": (0.73, -0.54), "PO4": (0.35, -0.70), "O2": (0.29, -0.88),
}
# The places between them, of caps with more electrodes; CB1 and CB2 lie below O1 and O2.
_MORE_POSITIONS: dict[str, tuple[float, float]] = {
    "Fpz": (0.00, 0.92), "F5": (-0.57, 0.51), "F1": (-0.20, 0.47), "F2": (0.20, 0.47), "F6": (0.57, 0.51),
    "FT7": (-0.86, 0.28), "FC3": (-0.45, 0.24), "FCz": (0.00, 0.24), "FC4": (0.45, 0.24), "FT8": (0.86, 0.28),
    "C5": (-0.68, 0.00), "C1": (-0.22, 0.00), "C2": (0.22, 0.00), "C6": (0.68, 0.00), "TP7": (-0.86, -0.28),
    "CP3": (-0.45, -0.24), "CPz": (0.00, -0.24), "CP4": (0.45, -0.24), "TP8": (0.86, -0.28), "P5": (-0.57, -0.51),
    "P1": (-0.20, -0.47), "P2": (0.20, -0.47), "P6": (0.57, -0.51), "PO7": (-0.54, -0.74), "PO5": (-0.45, -0.72),
    "POz": (0.00, -0.70), "PO6": (0.45, -0.72), "PO8": (0.54, -0.74), "CB1": (-0.45, -0.93), "CB2": (0.45, -0.93),
}
# In this order, the first 32 first: a channel's random strength is drawn by its place in it.
POSITIONS: dict[str, tuple[float, float]] = {**_GENEVA_POSITIONS, **_MORE_POSITIONS}
GENEVA: tuple[str, ...] = tuple(_GENEVA_POSITIONS)
EPOC: tuple[str, ...] = (
    "AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4",
)
