"""What the chain engine answers other apps' signals; connected when Django starts (`apps`)."""

from django.dispatch import receiver

from audit.signals import anchors_asked_for
from audit.trail.anchors import Anchor
from chain import anchoring


@receiver(anchors_asked_for)
def send_anchors(**_: object) -> list[Anchor] | None:
    """Those that the executor has put on the chain."""
    return anchoring.read_anchors()
