"""Continuous multimodal emotion recognition from incomplete and asynchronous signals.

The library behind the pipeline: readers, windows, folds, models, metrics. It knows nothing of DVC
and of no default path; see ``pipeline/`` for the stages.
"""

__version__ = "0.1.0"
