"""All migrations of each database, in order. A migration that was released is never edited."""

from appliance.db.migrations.registry import registry
from appliance.db.migrations.telemetry import telemetry

__all__ = ["registry", "telemetry"]
