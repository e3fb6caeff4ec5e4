"""Admission of API calls: key, client address, signature, scopes, rate and concurrency."""
