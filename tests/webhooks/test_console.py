"""Staff find every event, delivery and attempt by the loan's id, the partner's or ours, and by the row's own id."""

import uuid
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from events.kinds import EventType
from events.models import Event
from events.numbering import number_events
from events.services import NewEvent, record_events
from partner_platform.core.database.transactions import run_in_transaction
from partners.models import Partner
from tests.factories import PartnerFactory
from tests.support.planner import assert_uses_index
from tests.webhooks.making import URL, delivery_of, endpoint_of
from webhooks import searching
from webhooks.models import Attempt, Delivery

pytestmark = pytest.mark.django_db(transaction=True)

LOAN, OTHER = uuid.uuid4(), uuid.uuid4()
MODELS = {"events.event": Event, "webhooks.delivery": Delivery, "webhooks.attempt": Attempt}


@pytest.fixture
def rows() -> dict[str, Any]:
    """An event of a loan with its delivery and attempt; and the same of another partner's and loan, which is first."""
    found: dict[str, Any] = {}
    for partner_loan_id, loan_id in (("loan-2", OTHER), ("loan-1", LOAN)):
        partner = PartnerFactory.create()
        new = NewEvent(
            type=EventType.LOAN_BORROWED,
            partner_key=partner.pk,
            data={},
            partner_loan_id=partner_loan_id,
            loan_id=loan_id,
            sequence=1,
        )
        run_in_transaction(partial(record_events, [new]))
        number_events()
        event = Event.objects.get(loan_id=loan_id)
        delivery = delivery_of(endpoint_of(partner, f"{URL}/{loan_id}"), event, loan_id=loan_id)
        attempt = Attempt.objects.create(delivery=delivery, number=1, status_code=500)
        found = {"events.event": event, "webhooks.delivery": delivery, "webhooks.attempt": attempt}
    return found


def shown(client: Client, model: str, term: object) -> list[Any]:
    page = client.get(reverse(f"admin:{model.replace('.', '_')}_changelist"), {"q": f" {term} "})
    assert page.status_code == 200
    return list(page.context["cl"].result_list)


@pytest.mark.parametrize("model", MODELS)
def test_a_row_is_found_by_its_loan_and_by_its_own_id_and_by_nothing_else(
    admin_client: Client, rows: dict[str, Any], model: str
) -> None:
    row, event = rows[model], rows["events.event"]
    terms = ["loan-1", LOAN, str(LOAN).upper(), row.pk, event.pk]
    if model == "webhooks.attempt":
        terms.append(rows["webhooks.delivery"].pk)
    assert [shown(admin_client, model, term) for term in terms] == [[row]] * len(terms)
    assert [shown(admin_client, model, term) for term in ("loan", "LOAN-1", uuid.uuid4())] == [[]] * 3
    assert len(shown(admin_client, model, "")) == 2


def test_an_event_is_listed_with_its_partner(admin_client: Client, rows: dict[str, Any]) -> None:
    page = admin_client.get(reverse("admin:events_event_changelist")).content.decode()
    partners = list(Partner.objects.values_list("partner_id", flat=True))
    assert (len(partners), [name for name in partners if name not in page]) == (2, [])


@pytest.mark.parametrize("term", ["loan-1", str(LOAN)], ids=["by the partner's id", "by its own id"])
def test_the_search_reads_no_table_whole(rows: dict[str, Any], term: str) -> None:
    events = [Event.objects.filter(condition) for condition in searching.event_conditions(term)]
    deliveries = [Delivery.objects.filter(condition) for condition in searching.delivery_conditions(term)]
    assert (len(events), len(deliveries)) == ((1, 1) if term == "loan-1" else (3, 4))
    for query in (*events, *deliveries):
        assert_uses_index(query, sorts=True)


def test_nobody_changes_an_event(admin_client: Client, rows: dict[str, Any]) -> None:
    event = rows["events.event"]
    path = reverse("admin:events_event_change", args=[event.pk])
    assert admin_client.get(path).status_code == 200
    assert admin_client.post(path, {"body": "{}"}).status_code == 403
    assert Event.objects.get(pk=event.pk).body == event.body
