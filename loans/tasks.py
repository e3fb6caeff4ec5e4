"""Celery's way in. A task is a nudge: the sweep finds what is due."""

import logging

from celery import shared_task

from loans.services.settle import settle_due

logger = logging.getLogger(__name__)


@shared_task(name="loans.tasks.settle_loans")
def settle_loans() -> int:
    """Settle the loans and repayments whose operations are final."""
    return settle_due()


def nudge_settlement(keys: list[str]) -> None:
    """Called by the chain engine after operations became final."""
    settle_loans.delay()
