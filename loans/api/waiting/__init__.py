"""Waiting for a settlement on the request's thread, and how many threads may be held by that."""
