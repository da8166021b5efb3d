-- What each tool of a server had declared when a rule first allowed a call of it.
CREATE TABLE declaration (
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    schema_hash TEXT NOT NULL,
    pinned_at REAL NOT NULL,
    PRIMARY KEY (server, tool)
) STRICT, WITHOUT ROWID;
