"""All migrations of each database, in order.

A migration that was released is never edited. It only adds: tables, indexes, columns that may be missing or
have a default. The version before goes on answering on the migrated databases until it is restarted, so
nothing that it reads or writes is renamed, dropped or given another meaning; that is done one version later.
"""

from sqlite_utils import Database, Migrations

from appliance.db.migrations.registry import registry
from appliance.db.migrations.telemetry import telemetry

__all__ = ["names", "registry", "telemetry"]


def names(migrations: Migrations) -> list[str]:
    """Every migration of a database that this program knows."""
    return [one.name for one in migrations.pending(Database(memory=True))]
