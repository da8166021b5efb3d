-- How many requests of an agent a run took; unknown for runs that were imported or recorded before this was counted.
ALTER TABLE run ADD COLUMN asked INTEGER;
