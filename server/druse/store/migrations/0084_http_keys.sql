CREATE TABLE http_key (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'team_admin', 'system_admin')),
    team TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL UNIQUE,
    made_at REAL NOT NULL,
    expires_at REAL,
    last_used_at REAL,
    revoked_at REAL
) STRICT;
