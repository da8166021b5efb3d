CREATE TABLE skill_offer (
    skill TEXT PRIMARY KEY,
    made_at REAL NOT NULL,
    offered INTEGER NOT NULL DEFAULT 0,
    last_offered_at REAL,
    retire_asked_at REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE skill_use (
    skill TEXT NOT NULL,
    run_id TEXT NOT NULL,
    used_at REAL NOT NULL,
    PRIMARY KEY (skill, run_id)
) STRICT, WITHOUT ROWID;
