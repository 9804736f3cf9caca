"""SQLite: the only home of `sqlite3`."""
