"""The floor `mean_subject`: see :class:`himoe.models.methods.floors.MeanSubject`."""

from himoe.models.methods.floors import MeanSubject

METHOD = MeanSubject
