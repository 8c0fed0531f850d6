"""The floor `mean_stimulus`: see :class:`himoe.models.methods.floors.MeanStimulus`."""

from himoe.models.methods.floors import MeanStimulus

METHOD = MeanStimulus
