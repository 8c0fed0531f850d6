"""Simulated raw files in the data sets' own layouts."""
