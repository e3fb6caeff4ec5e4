"""What webhooks do when another app tells them something; connected when Django starts (`apps`)."""

from django.dispatch import receiver

from events.signals import events_recorded
from webhooks.delivery.waking import wake_sender
from webhooks.signals import deliveries_due


@receiver(events_recorded)
@receiver(deliveries_due)
def send_soon(**_: object) -> None:
    """Have the sender look for what is due."""
    wake_sender()
