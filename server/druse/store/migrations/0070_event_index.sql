-- Which runs wait for being indexed is known without looking at all of them: a row per run from its first moment on,
-- and an index over those that are not complete. -1 steps: never looked at.
INSERT INTO event_scan (run_id, steps, complete)
    SELECT id, -1, 0 FROM run WHERE NOT EXISTS (SELECT 1 FROM event_scan WHERE run_id = run.id);
-- What was indexed before had JSON's escapes in its words: all of it is read again.
UPDATE event_scan SET steps = -1, complete = 0;
CREATE INDEX event_scan_waiting ON event_scan (run_id) WHERE complete = 0;
CREATE TRIGGER event_scan_begin AFTER INSERT ON run BEGIN
    INSERT OR IGNORE INTO event_scan (run_id, steps, complete) VALUES (new.id, -1, 0);
END;

-- The most relevant memories are read without sorting all of them.
CREATE INDEX project_memory_best ON project_memory (project_hash, relevance_score DESC, promoted_at DESC, id DESC);
