-- What takes a step of an execution back, kept when the step was done. `touched` and `after`: a file it wrote, and the
-- digest of what it left there.
CREATE TABLE plan_undo (
    number INTEGER PRIMARY KEY,
    execution TEXT NOT NULL REFERENCES execution (id),
    place TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    why_not TEXT NOT NULL DEFAULT '',
    touched TEXT NOT NULL DEFAULT '',
    after TEXT NOT NULL DEFAULT '',
    undone_at REAL,
    UNIQUE (execution, place)
) STRICT;
CREATE INDEX execution_newest ON execution (started_at DESC);
