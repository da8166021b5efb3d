CREATE TABLE job_run (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    slot TEXT NOT NULL,
    cause TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'stopped', 'skipped')),
    owner TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    started_at REAL NOT NULL,
    lease_until REAL NOT NULL,
    finished_at REAL,
    report TEXT NOT NULL DEFAULT '{}',
    UNIQUE (job, slot)
) STRICT;
CREATE INDEX job_run_status ON job_run (status, lease_until);
