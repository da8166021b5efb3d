CREATE TABLE project_memory (
    id INTEGER PRIMARY KEY,
    project_hash TEXT,
    memory_type TEXT CHECK (memory_type IN ('decision', 'pattern', 'correction', 'architecture')),
    content TEXT,
    source_session_id TEXT,
    promoted_at REAL,
    relevance_score REAL CHECK (relevance_score BETWEEN 0 AND 1),
    expires_at REAL
);
CREATE INDEX project_memory_project ON project_memory (project_hash, expires_at);

CREATE TABLE memory_source (
    memory_id INTEGER NOT NULL REFERENCES project_memory (id) ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    quote TEXT NOT NULL,
    PRIMARY KEY (memory_id, run_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE memory_scan (
    run_id TEXT PRIMARY KEY,
    scanned_at REAL NOT NULL,
    promoted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE memory_text USING fts5(
    content, content='project_memory', content_rowid='id', tokenize='porter unicode61'
);
CREATE TRIGGER memory_text_insert AFTER INSERT ON project_memory BEGIN
    INSERT INTO memory_text (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER memory_text_delete AFTER DELETE ON project_memory BEGIN
    INSERT INTO memory_text (memory_text, rowid, content) VALUES ('delete', old.id, old.content);
END;
CREATE TRIGGER memory_text_update AFTER UPDATE OF content ON project_memory BEGIN
    INSERT INTO memory_text (memory_text, rowid, content) VALUES ('delete', old.id, old.content);
    INSERT INTO memory_text (rowid, content) VALUES (new.id, new.content);
END;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX event_run ON event (run_id);
CREATE TABLE event_scan (
    run_id TEXT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    steps INTEGER NOT NULL,
    complete INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE event_text USING fts5(content, tokenize='porter unicode61');
CREATE TRIGGER event_text_delete AFTER DELETE ON event BEGIN
    DELETE FROM event_text WHERE rowid = old.id;
END;
