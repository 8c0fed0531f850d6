"""The floor `mean`: see :class:`himoe.methods.floors.Mean`."""

from himoe.methods.floors import Mean

METHOD = Mean
