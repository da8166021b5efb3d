-- What old runs were called with and what came of it, compressed, by the hash of the plain text. The rows of their steps
-- stay, with neither a result nor a payload; what is searched and counted stays too.
CREATE TABLE archive (
    digest TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run_archive (
    run_id TEXT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES archive (digest),
    archived_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_archive_digest ON run_archive (digest);
CREATE TRIGGER run_archive_gone AFTER DELETE ON run_archive BEGIN
    DELETE FROM archive WHERE digest = old.digest AND NOT EXISTS (SELECT 1 FROM run_archive WHERE digest = old.digest);
END;
CREATE INDEX run_closed ON run (closed_at);
