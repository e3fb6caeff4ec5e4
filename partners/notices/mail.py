"""E-mail to partners' contacts, and to members of staff.

`queue_mail` inserts the mail in the transaction of what it tells of, so that it is sent exactly where that was
committed; `send_due_mails` sends what is due, outside any transaction, every 30 seconds (`partners.tasks.send_mail`).

A sender first moves the mail's `due_at` to the end of its lease, by an update that demands the row as it was read: of
two senders one has it. One that dies before it noted the sending leaves the mail to be sent again after the lease, with
the same `Message-ID`. A mail that cannot be sent is tried again, less and less often, for five days; then `due_at` is
None and an ERROR is logged. The text of a mail is stored and shown to staff: it must not contain a secret.
"""

import datetime as dt
import logging
import time
from email.utils import parseaddr
from functools import partial

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet

from partner_platform.core import backoff, clock
from partner_platform.core.database.isolation import alone
from partner_platform.core.database.transactions import again_if_taken
from partner_platform.core.text.printable import printable
from partners.models import OutgoingMail, Partner

logger = logging.getLogger(__name__)

MAILS_A_PASS = 50
PASS_SECONDS = 20.0  # no mail is begun later in a pass: a mail server that hangs holds the worker no longer
LEASE = dt.timedelta(minutes=5)  # longer than one sending can take (EMAIL_TIMEOUT for each answer of the server)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 6 * 3600.0
GIVE_UP_AFTER = dt.timedelta(days=5)
SUBJECT_LENGTH, ERROR_LENGTH, ONCE_LENGTH = 200, 300, 120


def queue_mail(*, partner: Partner, once: str, subject: str, text: str) -> bool:
    """Queue a mail to the partner's contact in the caller's transaction; False where `once` was queued before.

    `once` (at most 120 characters) names what the mail is about. Where another transaction inserts the same one at this
    moment, the caller's transaction runs again and finds it, so the caller must be inside `run_in_transaction`.
    """
    return _queue(partner, partner.contact_email, once, subject, text)


def queue_staff_mail(*, recipient: str, once: str, subject: str, text: str) -> bool:
    """`queue_mail` to a member of staff."""
    return _queue(None, recipient, once, subject, text)


def _queue(partner: Partner | None, recipient: str, once: str, subject: str, text: str) -> bool:
    if len(once) > ONCE_LENGTH:
        raise ValueError(f"once has {len(once)} characters, and {ONCE_LENGTH} are kept: {once}")
    if not recipient or OutgoingMail.objects.filter(once=once).exists():
        return False
    with again_if_taken():
        OutgoingMail.objects.create(
            partner_id=None if partner is None else partner.pk,
            once=once,
            recipient=recipient,
            subject=_one_line(subject),
            text=text,
        )
    return True


def send_due_mails() -> int:
    """Send the mails that are due, the longest due first; returns how many were sent."""
    deadline = time.monotonic() + PASS_SECONDS
    sent = 0
    for mail in list(due_query()[:MAILS_A_PASS]):
        if time.monotonic() > deadline:
            break
        sent += alone(partial(_send, mail), f"sending mail {mail.pk}")
    return sent


def due_query() -> QuerySet[OutgoingMail]:
    """The mails to be sent now, for the index tests too."""
    return OutgoingMail.objects.filter(due_at__lte=clock.now()).order_by("due_at")


def oldest_unsent_seconds() -> float:
    """How long the oldest mail that is still to be sent has waited; 0 where there is none."""
    waiting = OutgoingMail.objects.filter(due_at__gt=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
    return 0.0 if oldest is None else max((clock.now() - oldest).total_seconds(), 0.0)


def _send(mail: OutgoingMail) -> int:
    as_read = OutgoingMail.objects.filter(pk=mail.pk, sent_at=None, attempts=mail.attempts, due_at=mail.due_at)
    if as_read.update(attempts=mail.attempts + 1, due_at=clock.now() + LEASE) != 1:
        return 0  # another sender has it
    claimed = OutgoingMail.objects.filter(pk=mail.pk, sent_at=None, attempts=mail.attempts + 1)
    try:
        _message(mail).send()
    except Exception as error:  # noqa: BLE001 - the server, the network, the address: all are tried again
        claimed.update(due_at=_next_try(mail, error), last_error=_told(error))
        return 0
    claimed.update(sent_at=clock.now(), due_at=None, last_error="")
    return 1


def _next_try(mail: OutgoingMail, error: Exception) -> dt.datetime | None:
    if clock.now() - mail.created_at >= GIVE_UP_AFTER:
        logger.error("mail %s to %s is given up: %s", mail.pk, mail.recipient, _told(error))
        return None
    logger.warning("mail %s to %s is sent later: %s", mail.pk, mail.recipient, _told(error))
    return backoff.next_try(mail.attempts + 1, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)


def _message(mail: OutgoingMail) -> EmailMessage:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return EmailMessage(
        subject=_one_line(mail.subject),
        body=mail.text,
        to=[mail.recipient],
        headers={"Message-ID": f"<{mail.pk}@{domain}>", "Auto-Submitted": "auto-generated"},
    )


def _one_line(text: str) -> str:
    """Text for a header: a line break in it would begin another header."""
    return printable(" ".join(text.split()), SUBJECT_LENGTH)


def _told(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}", ERROR_LENGTH)
