"""Celery tasks."""

from celery import shared_task

from staff.access import api_sessions, nonces


@shared_task(name="staff.tasks.sweep_sign_ins")
def sweep_sign_ins() -> int:
    """Delete sessions of the API, refresh tokens and used nonces that ended long ago."""
    return api_sessions.delete_old_sessions() + nonces.delete_old_nonces()
