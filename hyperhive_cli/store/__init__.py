"""SQLite: the only room that imports `sqlite3`."""
