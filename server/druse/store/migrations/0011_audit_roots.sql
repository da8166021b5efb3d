CREATE TABLE audit_tile (
    number INTEGER PRIMARY KEY,
    root BLOB NOT NULL
) STRICT;

CREATE TABLE audit_root (
    size INTEGER PRIMARY KEY,
    statement TEXT NOT NULL,
    signature TEXT NOT NULL
) STRICT;
