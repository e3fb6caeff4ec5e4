"""Onboarding: a partner's stages, documents, contacts and notes."""
