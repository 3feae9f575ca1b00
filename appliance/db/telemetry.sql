-- The schema of telemetry.db after all migrations; a test compares the two.

CREATE TABLE egress_batch (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            batch TEXT NOT NULL
        ) STRICT;

CREATE TABLE egress_counts (
            hour TEXT NOT NULL,
            host TEXT NOT NULL,
            port INTEGER NOT NULL,
            verdict TEXT NOT NULL CHECK (verdict IN ('done', 'refused', 'failed')),
            calls INTEGER NOT NULL,
            bytes_out INTEGER NOT NULL,
            bytes_in INTEGER NOT NULL,
            last_at TEXT NOT NULL,
            PRIMARY KEY (hour, host, port, verdict)
        ) STRICT;

CREATE TABLE prediction_log (
            id INTEGER PRIMARY KEY,
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            runtime TEXT NOT NULL,
            first TEXT NOT NULL,
            last TEXT NOT NULL,
            predictions INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            content BLOB NOT NULL
        ) STRICT;

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

CREATE TABLE totals (
            model TEXT PRIMARY KEY,
            statuses TEXT NOT NULL,
            latency TEXT NOT NULL,
            seconds REAL NOT NULL,
            rows INTEGER NOT NULL
        ) STRICT;

CREATE TABLE traffic (
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            starts INTEGER NOT NULL,
            span INTEGER NOT NULL,
            statuses TEXT NOT NULL,
            latency TEXT NOT NULL,
            seconds REAL NOT NULL,
            rows INTEGER NOT NULL,
            PRIMARY KEY (starts, model, version)
        ) STRICT;

CREATE TABLE windows (
            id INTEGER PRIMARY KEY,
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            opened_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            closed_at TEXT,
            rows INTEGER NOT NULL,
            features BLOB NOT NULL,
            score BLOB NOT NULL,
            verdict TEXT CHECK (verdict IN ('stable', 'drifted', 'undecided')),
            finding TEXT
        ) STRICT;

CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");

CREATE UNIQUE INDEX one_open_window ON windows (model, version) WHERE closed_at IS NULL;

CREATE INDEX predictions_by_id ON prediction_log (first);

CREATE INDEX predictions_by_model ON prediction_log (model, first);

CREATE INDEX windows_by_model ON windows (model, closed_at);

