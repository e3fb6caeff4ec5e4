"""Celery's way in. Beat's sweeps: what is due stands in the database."""

from celery import shared_task

from audit import archiving
from audit.sealing import seal_due


@shared_task(name="audit.tasks.seal_trail")
def seal_trail() -> int:
    """Seal the audit entries that wait; answers how many."""
    return seal_due().entries


@shared_task(name="audit.tasks.archive_api_logs")
def archive_api_logs() -> int:
    """Archive the calls that are older than the configuration keeps them; answers how many."""
    return archiving.archive_due().rows
