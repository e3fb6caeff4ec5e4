"""What developers run beside the project."""
