"""SQLite through aiosqlite; all SQL of Druse is in this room."""
