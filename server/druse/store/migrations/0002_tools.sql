CREATE TABLE tool_version (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('proposed', 'active', 'superseded', 'suspended', 'retired', 'rejected')),
    approval_hash TEXT NOT NULL,
    workflow TEXT NOT NULL,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    made_runs INTEGER NOT NULL,
    made_successes INTEGER NOT NULL,
    runs INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    divergences INTEGER NOT NULL DEFAULT 0,
    last_used_at REAL,
    last_verified_at REAL,
    wall_ms REAL NOT NULL DEFAULT 0,
    steps_saved INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX tool_version_workflow ON tool_version (workflow);
