"""Partners, their keys and secrets: opening, changing, stopping, the list."""
