"""Celery tasks. A task only starts the work: what is due is in the database."""

from celery import shared_task

from chain import anchoring
from chain.settlement.driver import drive_wallet
from chain.settlement.waking import wake_driver

DRIVE_SECONDS = 20.0  # then the worker's thread is given back, and a new task goes on


@shared_task(name="chain.tasks.drive_settlement")
def drive_settlement() -> None:
    """Drive the platform's wallet while there is work; returns at once where another worker does."""
    report = drive_wallet(max_seconds=DRIVE_SECONDS)
    if report.live and not report.busy:
        wake_driver()


@shared_task(name="chain.tasks.anchor_audit_trail")
def anchor_audit_trail() -> None:
    """Put the head of the audit trail on the chain, once a UTC day."""
    anchoring.anchor_due()
