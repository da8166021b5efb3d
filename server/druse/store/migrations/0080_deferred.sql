-- Calls answered with a task: what the client asks after, and what is needed to go on with it after a restart.
CREATE TABLE deferred_call (
    id TEXT PRIMARY KEY,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    status TEXT NOT NULL,
    message TEXT NOT NULL,
    caller TEXT NOT NULL,
    call TEXT NOT NULL,
    approval_id TEXT NOT NULL,
    requests TEXT NOT NULL,
    outcome TEXT NOT NULL,
    lease_until REAL NOT NULL
) STRICT;
