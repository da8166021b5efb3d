-- When a task was taken: a lease that began later than now is of a clock that was set back since.
ALTER TABLE task ADD COLUMN claimed_at REAL NOT NULL DEFAULT 0;
