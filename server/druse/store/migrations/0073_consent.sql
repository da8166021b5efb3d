-- Whether a person agreed that a run may be used as training data; no row: nobody was asked.
CREATE TABLE run_consent (
    run_id TEXT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    given INTEGER NOT NULL,
    given_by TEXT NOT NULL,
    given_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
