CREATE TABLE policy (
    number INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    content TEXT NOT NULL,
    adopted_at REAL NOT NULL,
    adopted_by TEXT NOT NULL,
    approval TEXT NOT NULL
) STRICT;

CREATE TABLE counter (
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    count INTEGER NOT NULL,
    touched_at REAL NOT NULL,
    PRIMARY KEY (name, scope)
) STRICT, WITHOUT ROWID;

ALTER TABLE tool_version ADD COLUMN approved_by TEXT NOT NULL DEFAULT 'person';
ALTER TABLE tool_version ADD COLUMN streak INTEGER NOT NULL DEFAULT 0;
