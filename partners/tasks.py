"""Celery tasks."""

from celery import shared_task

from partners.console import sent_forms
from partners.idempotency import records
from partners.notices import events as notices
from partners.notices import mail
from partners.stopping import pause


@shared_task(name="partners.tasks.sweep_idempotency_keys")
def sweep_idempotency_keys() -> int:
    """Delete idempotency keys that are older than their seven days."""
    return records.delete_expired_records()


@shared_task(name="partners.tasks.sweep_sent_forms")
def sweep_sent_forms() -> int:
    """Delete secrets of the console that were not shown in time, and old submitted forms."""
    return sent_forms.delete_old_forms()


@shared_task(name="partners.tasks.warn_of_expiring_keys")
def warn_of_expiring_keys() -> int:
    """Tell partners of API keys that expire soon."""
    return notices.tell_expiring_keys()


@shared_task(name="partners.tasks.send_mail")
def send_mail() -> int:
    """Send the e-mails that are due."""
    return mail.send_due_mails()


@shared_task(name="partners.tasks.carry_pause")
def carry_pause() -> int:
    """Finish a pause or resumption of borrowing whose process ended before every partner's row was written."""
    return pause.carry_to_partners()
