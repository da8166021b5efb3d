-- What a client's session is doing, as its own events tell it: the user's last words, and the run its calls belong to.
CREATE TABLE client_session (
    client TEXT NOT NULL,
    session TEXT NOT NULL,
    prompt TEXT NOT NULL,
    prompt_key TEXT NOT NULL,
    prompt_at REAL NOT NULL,
    told INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    touched_at REAL NOT NULL,
    PRIMARY KEY (client, session)
) STRICT, WITHOUT ROWID;

-- Calls of clients that were written down: each is told once, by its hook or by its transcript. Stays when a run goes.
CREATE TABLE client_call (
    client TEXT NOT NULL,
    session TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (client, session, key)
) STRICT, WITHOUT ROWID;

-- The client's id of a call that came in over MCP.
CREATE TABLE call_key (
    key TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX call_key_run ON call_key (run_id);

-- How far a file of the spool was read, in bytes: committed together with what was read.
CREATE TABLE spool_file (
    name TEXT PRIMARY KEY,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The client that told a step of its own; empty for what Druse itself carried out, which the audit chain speaks of.
ALTER TABLE step ADD COLUMN told_by TEXT NOT NULL DEFAULT '';
