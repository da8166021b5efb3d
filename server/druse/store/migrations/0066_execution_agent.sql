-- Who asked for an execution: what an agent did is read from here.
ALTER TABLE execution ADD COLUMN agent TEXT NOT NULL DEFAULT '';
CREATE INDEX execution_agent ON execution (agent, started_at DESC);
