"""What partners do when another app tells them something; connected when Django starts (`apps`)."""

from collections.abc import Mapping

from django.dispatch import receiver

from authority.signals import staff_written_to
from partners.notices import mail


@receiver(staff_written_to)
def queue_mail_to_staff(*, recipients: Mapping[str, str], once: str, subject: str, text: str, **_: object) -> None:
    """Queue a mail to each member of staff."""
    for account, recipient in sorted(recipients.items()):
        mail.queue_staff_mail(recipient=recipient, once=f"{once}:{account}", subject=subject, text=text)
