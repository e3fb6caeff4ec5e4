"""Celery's way in, in a queue and a worker of its own (`CELERY_TASK_ROUTES`): no receiver can slow settlement."""

from celery import shared_task
from celery.signals import worker_shutting_down

from webhooks.delivery import sender
from webhooks.delivery.waking import wake_sender

DELIVER_SECONDS = 60.0  # then the worker's thread is given back as soon as no post is under way


@shared_task(name="webhooks.tasks.deliver")
def deliver() -> None:
    """Deliver what is due, until there is nothing."""
    report = sender.run_sender(max_seconds=DELIVER_SECONDS)
    if report.is_live:
        wake_sender()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    sender.stopping.set()
