-- What is derived from recorded runs is kept until the counter of its workflow moves ('' moves with any workflow).
CREATE TABLE run_change (
    workflow TEXT PRIMARY KEY,
    changes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER run_change_insert AFTER INSERT ON run WHEN NEW.status != 'open'
BEGIN
    INSERT INTO run_change (workflow, changes) VALUES ('', 1), (NEW.workflow, 1)
    ON CONFLICT (workflow) DO UPDATE SET changes = changes + 1;
END;

CREATE TRIGGER run_change_update AFTER UPDATE OF goal, shape, status, workflow, tool, tool_version ON run
WHEN NEW.status != 'open' OR OLD.status != 'open'
BEGIN
    INSERT INTO run_change (workflow, changes) VALUES ('', 1), (OLD.workflow, 1), (NEW.workflow, 1)
    ON CONFLICT (workflow) DO UPDATE SET changes = changes + 1;
END;

CREATE TRIGGER run_change_delete AFTER DELETE ON run WHEN OLD.status != 'open'
BEGIN
    INSERT INTO run_change (workflow, changes) VALUES ('', 1), (OLD.workflow, 1)
    ON CONFLICT (workflow) DO UPDATE SET changes = changes + 1;
END;

-- The newest runs of a status, a workflow or a shape are read without sorting all of them.
DROP INDEX run_workflow;
DROP INDEX run_shape;
CREATE INDEX run_workflow ON run (workflow, status, opened_at, id);
CREATE INDEX run_shape ON run (shape, status, opened_at);
CREATE INDEX run_newest ON run (status, opened_at DESC, id);
