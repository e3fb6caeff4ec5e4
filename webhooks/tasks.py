"""Celery tasks, started by beat: each finds in the database what is due."""

from celery import shared_task

from webhooks import retention


@shared_task(name="webhooks.tasks.delete_what_is_old")
def delete_what_is_old() -> int:
    """Delete events, deliveries and attempts by their age; returns how many rows."""
    deleted = retention.delete_old()
    return deleted.events + deleted.deliveries + deleted.attempts
