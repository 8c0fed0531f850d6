"""Metrics, statistics, and the results that tables are made of."""
