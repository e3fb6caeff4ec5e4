"""Writes of webhooks: a partner's endpoints, and what it asks to be delivered again."""
