CREATE TABLE approval (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject_hash TEXT NOT NULL,
    title TEXT NOT NULL,
    details TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'used', 'expired')),
    decided_by TEXT,
    decided_how TEXT,
    decided_at REAL,
    note TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX approval_subject ON approval (kind, subject_hash, status);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
