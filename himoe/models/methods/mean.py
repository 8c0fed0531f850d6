"""The floor `mean`: see :class:`himoe.models.methods.floors.Mean`."""

from himoe.models.methods.floors import Mean

METHOD = Mean
