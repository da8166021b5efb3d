ALTER TABLE approval ADD COLUMN scope TEXT NOT NULL DEFAULT 'once';
ALTER TABLE approval ADD COLUMN requested_entry TEXT NOT NULL DEFAULT '';
ALTER TABLE approval ADD COLUMN decided_entry TEXT NOT NULL DEFAULT '';
ALTER TABLE approval ADD COLUMN applied_at REAL;
UPDATE approval SET applied_at = decided_at WHERE decided_at IS NOT NULL;
