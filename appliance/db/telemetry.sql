-- The schema of telemetry.db after all migrations; a test compares the two.

CREATE TABLE sign_in_tries (
            key TEXT PRIMARY KEY,
            failures INTEGER NOT NULL,
            until REAL NOT NULL,
            last REAL NOT NULL,
            boot TEXT NOT NULL
        ) STRICT;

CREATE TABLE token_use (
            token TEXT NOT NULL,
            hour TEXT NOT NULL,
            requests INTEGER NOT NULL,
            last_at TEXT NOT NULL,
            PRIMARY KEY (token, hour)
        ) STRICT;

CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");

