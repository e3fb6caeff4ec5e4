"""What partners were told: the events that were recorded, as a feed sends them."""

import json
from typing import Any

from events.models import Event
from partners.models import Partner


def bodies(partner: Partner, event_type: str | None = None) -> list[dict[str, Any]]:
    """The bodies of a partner's events, oldest first; of one type, where it is named."""
    events = Event.objects.filter(partner_key=partner.pk).order_by("created_at")
    found = [json.loads(event.body) for event in events]
    return [body for body in found if event_type in (None, body["type"])]


def data_of(partner: Partner, event_type: str) -> list[dict[str, Any]]:
    """What these events say in `data`."""
    return [body["data"] for body in bodies(partner, event_type)]
