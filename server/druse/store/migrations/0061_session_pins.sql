-- The versions of tools and skills that a session began with (seed id N-09).
CREATE TABLE session_pin (
    session TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    began_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    tools TEXT NOT NULL,
    skills TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The texts of skills that sessions began with: the folder of a skill holds only the newest.
CREATE TABLE skill_text (
    digest TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A version that somebody went back from is kept alive by no session that began with it.
ALTER TABLE tool_version ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
UPDATE tool_version SET withdrawn = 1 WHERE status = 'superseded' AND reason LIKE 'rolled back%';
