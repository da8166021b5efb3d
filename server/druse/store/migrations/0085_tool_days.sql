CREATE TABLE tool_day (
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    runs INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    divergences INTEGER NOT NULL DEFAULT 0,
    round_trips_saved INTEGER NOT NULL DEFAULT 0,
    wall_ms REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (day, name, version)
) STRICT, WITHOUT ROWID;
