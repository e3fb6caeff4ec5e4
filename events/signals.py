"""What the outbox tells other apps, which it does not know."""

from django.dispatch import Signal

events_recorded = Signal()
"""Events were committed. No arguments; sent after the commit with `send_robust`, at least once a transaction."""
