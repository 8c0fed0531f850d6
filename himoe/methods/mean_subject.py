"""The floor `mean_subject`: see :class:`himoe.methods.floors.MeanSubject`."""

from himoe.methods.floors import MeanSubject

METHOD = MeanSubject
