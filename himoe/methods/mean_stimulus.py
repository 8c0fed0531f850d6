"""The floor `mean_stimulus`: see :class:`himoe.methods.floors.MeanStimulus`."""

from himoe.methods.floors import MeanStimulus

METHOD = MeanStimulus
