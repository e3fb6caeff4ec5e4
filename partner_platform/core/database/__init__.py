"""What keeps SQLite, PostgreSQL and MongoDB one code base."""
