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


@telemetry()
def m002_sign_in_tries(db: Database) -> None:
    """Wrong sign-ins by address and account, to make the next ones wait."""
    db.execute(
        """CREATE TABLE sign_in_tries (
            key TEXT PRIMARY KEY,
            failures INTEGER NOT NULL,
            until REAL NOT NULL,
            last REAL NOT NULL,
            boot TEXT NOT NULL
        ) STRICT"""
    )
