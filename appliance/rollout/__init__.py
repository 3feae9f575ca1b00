"""Changing which version answers: transitions and their guards."""
