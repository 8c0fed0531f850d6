"""Ridge regression on features of windows."""

from himoe.models.methods._ridge import FeaturesRidge

METHOD = FeaturesRidge
