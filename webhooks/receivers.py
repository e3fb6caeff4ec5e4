"""What webhooks do when another app tells them something; connected when Django starts (`apps`)."""

from django.dispatch import receiver

from events.signals import events_recorded
from partners.models import Partner
from partners.signals import webhook_url_changed
from webhooks.delivery.waking import wake_sender
from webhooks.services.endpoints import follow_partners_url
from webhooks.signals import deliveries_due


@receiver(webhook_url_changed)
def follow_webhook_url(*, partner: Partner, url: str, actor: str, **_: object) -> str | None:
    """Make the partner's first endpoint the URL of its terms; returns the secret of a new one."""
    return follow_partners_url(partner=partner, url=url, actor=actor)


@receiver(events_recorded)
@receiver(deliveries_due)
def send_soon(**_: object) -> None:
    """Have the sender look for what is due."""
    wake_sender()
