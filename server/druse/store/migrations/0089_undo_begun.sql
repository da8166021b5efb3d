-- When taking a step back began: where no end was noted, nobody knows whether it happened.
ALTER TABLE plan_undo ADD COLUMN begun_at REAL;
