CREATE TABLE plan (
    hash TEXT PRIMARY KEY,
    content TEXT NOT NULL,
    parent TEXT NOT NULL,
    made_at REAL NOT NULL,
    made_by TEXT NOT NULL
) STRICT;

CREATE TABLE execution (
    id TEXT PRIMARY KEY,
    plan TEXT NOT NULL REFERENCES plan (hash),
    inputs TEXT NOT NULL,
    status TEXT NOT NULL,
    session TEXT NOT NULL,
    run_id TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL
) STRICT;

CREATE TABLE execution_step (
    execution TEXT NOT NULL REFERENCES execution (id),
    place TEXT NOT NULL,
    tool TEXT NOT NULL,
    status TEXT NOT NULL,
    result TEXT,
    whole INTEGER NOT NULL DEFAULT 1,
    message TEXT NOT NULL DEFAULT '',
    started_at REAL NOT NULL,
    ended_at REAL,
    PRIMARY KEY (execution, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback (
    run_id TEXT PRIMARY KEY,
    outcome TEXT NOT NULL,
    note TEXT NOT NULL,
    given_at REAL NOT NULL,
    given_by TEXT NOT NULL
) STRICT;
