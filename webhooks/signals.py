"""What the services of webhooks tell the sender, which is above them."""

from django.dispatch import Signal

deliveries_due = Signal()
"""Deliveries of an endpoint are due. `endpoint_id`: its primary key, `UUID`.

Sent after the commit with `send_robust`. It may be lost with the process: `Endpoint.due_at` says the same.
"""
