"""Celery's way in; each finds in the database what is due. `deliver` has a queue and a worker of its own
(`CELERY_TASK_ROUTES`), so that no receiver can slow settlement.
"""

import threading

from celery import shared_task
from celery.signals import worker_shutting_down

from partner_platform.core import clock
from webhooks import retention
from webhooks.delivery import claims, sender
from webhooks.delivery.fan_out import is_up_to_date
from webhooks.delivery.waking import wake_sender

DELIVER_SECONDS = 60.0  # then the worker's thread is given back as soon as no post is under way

_sending = threading.Lock()  # one sender in a process is enough, and leaves the worker's other thread to e-mails
_asked_again = threading.Event()  # a task came while a sender ran, perhaps after its last look


@shared_task(name="webhooks.tasks.deliver")
def deliver() -> None:
    """Deliver what is due, until there is nothing; returns at once where this process does so already."""
    _asked_again.set()
    if not _sending.acquire(blocking=False):
        return
    try:
        _asked_again.clear()
        report = sender.run_sender(max_seconds=DELIVER_SECONDS)
    finally:
        _sending.release()
    if report.is_live or (_asked_again.is_set() and _has_work()):
        wake_sender()


def _has_work() -> bool:
    """Whether an event is to be fanned out, or an endpoint that nobody has claimed is due."""
    due = claims.next_due()
    return not is_up_to_date() or (due is not None and due <= clock.now())


@shared_task(name="webhooks.tasks.delete_what_is_old")
def delete_what_is_old() -> int:
    """Delete events, deliveries and attempts by their age; returns how many rows."""
    deleted = retention.delete_old()
    return deleted.events + deleted.deliveries + deleted.attempts


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    sender.stopping.set()
