"""What processes share through Redis: a lock, and waking one another. Neither decides anything: the database does."""
