"""Falaj: the whole life of a machine-learning model on one server, on premises."""

__version__ = "0.1.0"
