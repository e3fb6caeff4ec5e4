"""What lets one code base run on SQLite, PostgreSQL and MongoDB."""
