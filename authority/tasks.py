"""Celery tasks."""

from celery import shared_task

from authority.approvals import watching


@shared_task(name="authority.tasks.watch_approvals")
def watch_approvals() -> int:
    """Expire approvals, and report reviews of break-glass that are overdue; returns how many of both."""
    return watching.expire_approvals() + watching.report_overdue_reviews()
