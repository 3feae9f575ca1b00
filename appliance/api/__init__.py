"""The management API under /api/v1: one table of routes, one function that serves them all."""

from appliance.api.metrics import metrics
from appliance.api.resources import blueprint

__all__ = ["blueprint", "metrics"]
