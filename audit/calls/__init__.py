"""The log of API calls: rows, refused calls, retention, and where a call came from."""
