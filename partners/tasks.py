"""Celery's way in."""

from celery import shared_task

from partners import idempotency


@shared_task(name="partners.tasks.sweep_idempotency_keys")
def sweep_idempotency_keys() -> int:
    """Delete idempotency keys that are older than their seven days."""
    return idempotency.sweep()
