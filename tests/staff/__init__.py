"""The staff API, signing in, approvals."""
