"""Secrets: encrypted at rest, masked in texts; publicly known keys are refused."""
