CREATE TABLE blob (
    digest TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id TEXT PRIMARY KEY,
    goal TEXT NOT NULL,
    shape TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'success', 'failure', 'unfinished')),
    source TEXT NOT NULL,
    domain TEXT NOT NULL,
    task TEXT NOT NULL,
    session TEXT NOT NULL,
    client TEXT NOT NULL,
    owner TEXT NOT NULL,
    mode TEXT NOT NULL,
    confidence REAL,
    inputs TEXT NOT NULL,
    opened_at REAL NOT NULL,
    touched_at REAL NOT NULL,
    closed_at REAL,
    cost REAL,
    tokens INTEGER,
    note TEXT NOT NULL DEFAULT '',
    workflow TEXT NOT NULL DEFAULT '',
    tool TEXT,
    tool_version INTEGER
) STRICT;
CREATE INDEX run_session ON run (session, status);
CREATE INDEX run_workflow ON run (workflow, status);
CREATE INDEX run_shape ON run (shape, status);

CREATE TABLE step (
    run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    result TEXT,
    result_blob TEXT REFERENCES blob (digest),
    failed INTEGER NOT NULL,
    effect TEXT NOT NULL,
    started_at REAL NOT NULL,
    duration_ms REAL,
    PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_blob ON step (result_blob) WHERE result_blob IS NOT NULL;

CREATE TABLE user_turn (
    run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX user_turn_run ON user_turn (run_id);

CREATE TABLE notice (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (kind, subject)
) STRICT;
