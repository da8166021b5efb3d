CREATE TABLE task (
    graph TEXT NOT NULL,
    id TEXT NOT NULL,
    goal TEXT NOT NULL,
    about TEXT NOT NULL,
    status TEXT NOT NULL,
    holder TEXT NOT NULL DEFAULT '',
    lease_until REAL NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT 'null',
    PRIMARY KEY (graph, id)
) STRICT, WITHOUT ROWID;
