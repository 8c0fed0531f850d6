"""Predictions while sensors send: causal filters, clocks, ring buffers, sources and outputs.

:func:`himoe.live.engine.stream` is what ``himoe.stream`` names; ``himoe stream`` is the command around it.
"""
