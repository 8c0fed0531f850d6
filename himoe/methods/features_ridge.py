"""Ridge regression on features of windows."""

from himoe.methods._ridge import FeaturesRidge

METHOD = FeaturesRidge
