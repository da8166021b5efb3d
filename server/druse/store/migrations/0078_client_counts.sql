-- How often a client told the same call of a session, where it gives its calls no ids: by its hook (`told`), and how many
-- of those its transcript told once more (`same`).
CREATE TABLE client_count (
    client TEXT NOT NULL,
    session TEXT NOT NULL,
    what TEXT NOT NULL,
    told INTEGER NOT NULL,
    PRIMARY KEY (client, session, what)
) STRICT, WITHOUT ROWID;
