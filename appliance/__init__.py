"""Falaj: the whole life of a machine-learning model on one server, on premises."""

__version__ = "0.1.0"
RELEASED = "2026-11-23"  # no clock that is right shows an earlier day
