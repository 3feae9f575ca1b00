"""Migrations of telemetry.db: high write rate, bounded, may lose its last moment in a power cut."""

from sqlite_utils import Database, Migrations

telemetry = Migrations("telemetry")


@telemetry()
def m001_token_use(db: Database) -> None:
    """When each token was last used, and how often, by hour."""
    db.execute(
        """CREATE TABLE token_use (
            token TEXT NOT NULL,
            hour TEXT NOT NULL,
            requests INTEGER NOT NULL,
            last_at TEXT NOT NULL,
            PRIMARY KEY (token, hour)
        ) STRICT"""
    )
