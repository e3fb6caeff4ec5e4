"""Rows of webhooks, and a partner that calls the API, as short as a test needs them."""

import json
from typing import Any

from django.test import Client

from events.kinds import EventType
from events.models import Event
from events.numbering import number_events
from events.services import NewEvent, record_events
from partner_platform.core.database.transactions import run_in_transaction
from partners.models import Partner
from tests.factories import ApiKeyFactory, PartnerFactory
from webhooks.models import Delivery, DeliveryStatus, Endpoint, FanOut
from webhooks.services.endpoints import create_endpoint

URL = "https://lender.example/hooks"


class Caller:
    """A partner, and calls with a key of its own."""

    def __init__(self, partner: Partner | None = None, **key: Any) -> None:
        self.partner = partner or PartnerFactory.create(tier="ENTERPRISE")
        text = key.pop("key", f"pk_test_sandbox_{self.partner.pk.hex}")
        self.api_key = ApiKeyFactory.create(partner=self.partner, key=text, **key)
        self.key = text

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        authorized = {"Authorization": f"Bearer {self.key}", **headers}
        return Client().generic(method, f"/partners/my/{path}", data, "application/json", headers=authorized)


def endpoint_of(partner: Partner, url: str = URL, **values: Any) -> Endpoint:
    """An endpoint made by the service, for all events if nothing else is said."""
    values = {"event_types": ["*"], **values}
    endpoint, _ = create_endpoint(partner=partner, actor="test", url=url, **values)
    return endpoint


def numbered_events(partner: Partner, count: int, event_type: EventType = EventType.LOAN_REPAYMENT) -> list[Event]:
    """Events of the feed whose deliveries the fan-out has made, had there been an endpoint."""
    new = [
        NewEvent(type=event_type, partner_key=partner.pk, data={"place": place}, partner_loan_id="loan-1")
        for place in range(count)
    ]
    ids = [event.pk for event in run_in_transaction(lambda: record_events(new))]
    number_events()
    events = list(Event.objects.filter(pk__in=ids).order_by("number"))
    FanOut.objects.update_or_create(name="feed", defaults={"until": events[-1].number or 0})
    return events


def delivery_of(endpoint: Endpoint, event: Event, **values: Any) -> Delivery:
    """A pending delivery of the event."""
    columns = {
        "status": DeliveryStatus.PENDING,
        "event_id": event.pk,
        "event_type": event.type,
        "partner_loan_id": event.partner_loan_id,
        "number": event.number,
        **values,
    }
    return Delivery.objects.create(endpoint=endpoint, partner_id=endpoint.partner_id, **columns)
