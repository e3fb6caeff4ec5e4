"""Secrets: encrypted at rest, masked in texts, never those that everybody knows."""
