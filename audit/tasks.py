"""Celery tasks, started by beat: each finds in the database what is due."""

import logging

from celery import shared_task
from celery.signals import worker_ready

from audit.calls import archiving, refused_calls
from audit.configuration import record_changed_settings
from audit.trail.sealing import seal_due

logger = logging.getLogger(__name__)


@worker_ready.connect
def note_settings(**_: object) -> None:
    """Record the settings that a worker starts with, where they changed."""
    record_changed_settings()


@shared_task(name="audit.tasks.seal_trail")
def seal_trail() -> int:
    """Seal the audit entries that wait; returns how many."""
    return seal_due().entries


@shared_task(name="audit.tasks.archive_api_logs")
def archive_api_logs() -> int:
    """Archive calls older than the configured retention; returns how many."""
    try:
        return archiving.archive_due().rows
    except archiving.NotConfigured as error:
        logger.warning("%s", error)
        return 0


@shared_task(name="audit.tasks.record_refused_calls")
def record_refused_calls() -> int:
    """Move the counts of refused calls into the database; returns how many rows that made."""
    return refused_calls.move_counts_into_rows()
