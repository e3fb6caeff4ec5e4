"""What the services write, field by field, on rows that need no chain; beside them others that nothing may touch."""
