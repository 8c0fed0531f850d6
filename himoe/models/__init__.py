"""Encoders, banks of experts and every method, behind one contract."""
