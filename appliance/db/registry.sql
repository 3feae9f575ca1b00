-- The schema of registry.db after all migrations; a test compares the two.

CREATE TABLE alerts (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        version INTEGER NOT NULL,
        rule TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
        features TEXT NOT NULL,
        detail TEXT NOT NULL,
        quiet INTEGER NOT NULL DEFAULT 0,
        opened_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        acknowledged_at TEXT,
        acknowledged_by TEXT,
        resolved_at TEXT,
        resolved_by TEXT
    ) STRICT;

CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        digest TEXT NOT NULL
    ) STRICT;

CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,
        owner TEXT NOT NULL
    ) STRICT;

CREATE TABLE datasets (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        digest TEXT NOT NULL,
        rows INTEGER NOT NULL,
        columns TEXT NOT NULL,
        profile TEXT NOT NULL,
        notes TEXT NOT NULL,
        manifest TEXT NOT NULL,
        data_key BLOB NOT NULL,
        source TEXT NOT NULL,
        options TEXT NOT NULL,
        job TEXT,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        PRIMARY KEY (name, version)
    ) STRICT;

CREATE TABLE deployments (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        version INTEGER NOT NULL,
        mode TEXT NOT NULL CHECK (mode IN ('live')),
        runtime TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('preparing', 'live', 'retired', 'failed')),
        workers INTEGER,
        dropped INTEGER,
        seconds REAL,
        error TEXT,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        finished_at TEXT,
        FOREIGN KEY (model, version) REFERENCES versions (model, version)
    ) STRICT;

CREATE TABLE egress_rules (
        host TEXT NOT NULL,
        port INTEGER NOT NULL,
        purpose TEXT NOT NULL,
        added_by TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (host, port)
    ) STRICT;

CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        payload TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        attempts INTEGER NOT NULL DEFAULT 0,
        max_attempts INTEGER NOT NULL,
        timeout REAL NOT NULL,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        lease_owner TEXT,
        lease_boot TEXT,
        lease_until REAL,
        result TEXT,
        error TEXT,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT
    ) STRICT;

CREATE TABLE models (
        name TEXT PRIMARY KEY,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL
    ) STRICT;

CREATE TABLE numbers (
        kind TEXT NOT NULL CHECK (kind IN ('dataset', 'model')),
        name TEXT NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT;

CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        model TEXT NOT NULL,
        dataset TEXT NOT NULL,
        dataset_version INTEGER NOT NULL,
        target TEXT NOT NULL,
        parameters TEXT NOT NULL,
        environment TEXT NOT NULL,
        job TEXT,
        seconds REAL NOT NULL,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        FOREIGN KEY (dataset, dataset_version) REFERENCES datasets (name, version)
    ) STRICT;

CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        address TEXT NOT NULL,
        browser TEXT NOT NULL,
        created_at TEXT NOT NULL,
        seen_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT;

CREATE TABLE setup_code (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        digest TEXT NOT NULL,
        boot TEXT NOT NULL,
        until REAL NOT NULL,
        tries INTEGER NOT NULL
    ) STRICT;

CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE,
        models TEXT NOT NULL,
        expires_at TEXT,
        revoked_at TEXT,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL
    , role TEXT CHECK (role IN ('viewer', 'operator', 'approver'))) STRICT;

CREATE TABLE users (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin')),
        password TEXT NOT NULL,
        must_change INTEGER NOT NULL,
        password_at TEXT NOT NULL,
        seen_at TEXT,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL
    ) STRICT;

CREATE TABLE versions (
        model TEXT NOT NULL REFERENCES models (name),
        version INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('registered', 'refused', 'approved')),
        run TEXT NOT NULL REFERENCES runs (id),
        task TEXT NOT NULL,
        algorithm TEXT NOT NULL,
        digest TEXT NOT NULL,
        graph TEXT NOT NULL,
        proof TEXT NOT NULL,
        reference_bins TEXT NOT NULL,
        signature TEXT NOT NULL,
        metrics TEXT NOT NULL,
        gate TEXT NOT NULL,
        report TEXT NOT NULL,
        runtimes TEXT NOT NULL,
        approved_by TEXT,
        approved_reason TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (model, version)
    ) STRICT;

CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");

CREATE INDEX jobs_by_state ON jobs (state, created_at);

CREATE UNIQUE INDEX one_alert ON alerts (model, rule) WHERE state <> 'resolved';

CREATE UNIQUE INDEX one_live_deployment ON deployments (model) WHERE state = 'live';

CREATE UNIQUE INDEX one_preparing_deployment ON deployments (model) WHERE state = 'preparing';

CREATE INDEX sessions_by_user ON sessions (user, created_at);

