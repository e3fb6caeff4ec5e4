"""Endpoints, events and a receiver in this process, for the tests of delivery."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from events.kinds import EventType
from events.models import Event
from events.services import NewEvent, record_events
from partner_platform.core.outside import OutsideError, Response
from partner_platform.core.secrets import crypto
from partners.models import Partner
from tests.factories import PartnerFactory
from webhooks.delivery.sender import Sender
from webhooks.models import Delivery, Endpoint
from webhooks.secrets import new_secret

URL = "https://receiver.example/hook"


def make_endpoint(partner: Partner | None = None, *, secret: str | None = None, **columns: Any) -> Endpoint:
    """An enabled endpoint that asks for all types."""
    columns = {"url": URL, "event_types": ["*"], **columns}
    token = crypto.encrypt(secret or new_secret())
    return Endpoint.objects.create(partner=partner or PartnerFactory.create(), secret=token, **columns)


def record(partner: Partner, *loans: uuid.UUID | None, kind: EventType = EventType.LOAN_REPAYMENT) -> list[Event]:
    """An event of each of these loans, in this order; a loan's are counted from where it was."""
    counts = {loan: Event.objects.filter(loan_id=loan).count() for loan in set(loans) if loan is not None}
    new = []
    for place, loan in enumerate(loans):
        if loan is not None:
            counts[loan] += 1
        about: Mapping[str, Any] = (
            {} if loan is None else {"loan_id": loan, "partner_loan_id": f"loan-{loan.hex}", "sequence": counts[loan]}
        )
        new.append(NewEvent(type=kind, partner_key=partner.pk, data={"place": place}, **about))
    events = record_events(new)
    for place, event in enumerate(events):  # so that they are numbered in this order, however fast they were made
        event.created_at += dt.timedelta(milliseconds=place)
    Event.objects.bulk_update(events, ["created_at"], batch_size=100)
    return events


def loans(count: int) -> list[uuid.UUID]:
    return [uuid.uuid4() for _ in range(count)]


Answer = int | tuple[int, dict[str, str]] | OutsideError


@dataclass
class Receiver:
    """Stands for the network: what it was posted, and its answers by URL, the last of them for ever (200 at first)."""

    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(lambda: [200]))
    on_post: Callable[[str], None] = field(default=lambda url: None)

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Response:
        self.posts.append((url, dict(headers), body))
        self.on_post(url)
        answers = self.answers[url]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OutsideError):
            raise answer
        status, received = answer if isinstance(answer, tuple) else (answer, {})
        return Response(status, dict(received), b"the answer", 5)

    def events(self, url: str = URL) -> list[str]:
        """The ids of the events that were posted to the URL, in order."""
        return [headers["webhook-id"] for at, headers, _ in self.posts if at == url]


def sender_to(receiver: Receiver) -> Sender:
    return Sender(receiver)  # type: ignore[arg-type]


def run(sender: Sender, *, passes: int = 4) -> None:
    """So many passes of the loop, every post within its pass."""
    for _ in range(passes):
        sender.step(lambda work: work())


def ids(events: Iterable[Event]) -> list[str]:
    return [str(event.pk) for event in events]


def the_delivery(event: Event, endpoint: Endpoint) -> Delivery:
    return Delivery.objects.get(event_id=event.pk, endpoint=endpoint)
