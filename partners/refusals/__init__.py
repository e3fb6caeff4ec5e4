"""Callers who are refused again and again: counted, turned away, and told apart from those with a working key."""
