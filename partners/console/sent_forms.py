"""Console forms that can be submitted once, and the secrets they create (API key, signing secret), shown once.

A form carries a random token. On the first submission the token is written in the transaction of the form's effect, or
before it. A second submission (a double click, a reload, the browser's back button) is refused by the primary key and
does nothing. A secret is encrypted in the same row and removed by the page that shows it: of two concurrent pages, one
shows it.
"""

import datetime as dt
import uuid

from django.db import IntegrityError

from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.secrets import crypto
from partners.models import Partner, SentForm

SHOW_WITHIN = dt.timedelta(minutes=10)
KEEP_FOR = dt.timedelta(days=30)


def claim_form(token: uuid.UUID, *, sent_by: str) -> None:
    """Record the submission, in the caller's transaction if there is one; `IntegrityError` where it was recorded
    before.
    """
    SentForm(id=token, sent_by=sent_by).save(force_insert=True)


def claim_or_not(token: uuid.UUID, *, sent_by: str) -> bool:
    """Record the submission; False where it was recorded before. Not inside a transaction."""
    try:
        run_in_transaction(lambda: claim_form(token, sent_by=sent_by))
    except IntegrityError:
        if not is_sent(token):
            raise
        return False
    return True


def is_sent(token: uuid.UUID) -> bool:
    """Whether a form with this token was submitted."""
    return SentForm.objects.filter(pk=token).exists()


def keep_secret(token: uuid.UUID, *, partner: Partner, secret: str, what: str, kind: str) -> None:
    """Store the secret that the form created until it is shown, in the same transaction."""
    SentForm.objects.filter(pk=token).update(
        partner_id=partner.pk, secret=crypto.encrypt(secret), what=what[:300], kind=kind
    )


def sent_form(token: uuid.UUID, *, sent_by: str) -> SentForm | None:
    """The form that this user submitted; None where there is none, or another user submitted it."""
    return SentForm.objects.select_related("partner").filter(pk=token, sent_by=sent_by).first()


def take_secret(form: SentForm) -> str | None:
    """The secret that the form created, once; None where it was shown before, or has expired."""
    if not form.secret:
        return None
    in_time = SentForm.objects.filter(pk=form.pk, shown_at=None, created_at__gt=clock.now() - SHOW_WITHIN)
    if in_time.exclude(secret="").update(secret="", shown_at=clock.now()) != 1:
        return None
    return crypto.decrypt(form.secret)


def delete_old_forms() -> int:
    """Delete expired secrets and old forms; returns how many rows changed."""
    now = clock.now()
    forgotten = SentForm.objects.filter(created_at__lte=now - SHOW_WITHIN).exclude(secret="").update(secret="")
    deleted, _ = SentForm.objects.filter(created_at__lte=now - KEEP_FOR).delete()
    return forgotten + deleted
