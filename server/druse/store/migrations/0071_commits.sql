-- What the project's git showed at the last look, and the commits that jobs have not been run for yet.
CREATE TABLE commit_look (
    repository TEXT PRIMARY KEY,
    tips TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE commit_waiting (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (job, number),
    UNIQUE (job, commit_id)
) STRICT, WITHOUT ROWID;
