"""Fitting models, running them on folds, and using them."""
