"""`GET /partners/my/events`: the feed of a partner, page by page, by a signed cursor."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from events import feed, selectors
from events.kinds import EventType
from events.models import FEED, Event, FeedState
from events.numbering import number_events
from events.services import NewEvent, record_events
from partner_platform.core.secrets import crypto
from partners.models import Partner
from tests.factories import partner_with_key
from webhooks.api import feed_cursor

pytestmark = pytest.mark.django_db

PATH = "/partners/my/events"


class Reader:
    """A partner's backend that reads its feed."""

    def __init__(self) -> None:
        self.partner, self._key = partner_with_key()

    def get(self, **query: Any) -> Any:
        return Client().get(PATH, query, headers={"Authorization": f"Bearer {self._key}"})

    def page(self, **query: object) -> dict[str, Any]:
        response = self.get(**query)
        assert response.status_code == 200, response.content
        found: dict[str, Any] = response.json()
        return found

    def pages(self, **query: object) -> Iterator[dict[str, Any]]:
        """Every page with events, until one has none."""
        page = self.page(**query)
        while page["events"]:
            yield page
            page = self.page(**{**query, "after": page["next"]})


@pytest.fixture
def reader() -> Reader:
    return Reader()


def record(partner: Partner, count: int = 1, **about: Any) -> list[Event]:
    """Events that are numbered in this order, though two may be of one millisecond."""
    new = NewEvent(partner_key=partner.pk, **{"type": EventType.WEBHOOK_TEST, "data": {"n": "7"}, **about})
    written = []
    for _ in range(count):
        number_events()
        written += record_events([new])
    return written


def prune(partner: Partner, until: int) -> None:
    """What the retention does, in its two steps."""
    FeedState.objects.filter(name=FEED).update(pruned=until)
    Event.objects.filter(partner_key=partner.pk, number__lte=until).delete()


def ids(pages: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for page in pages for event in page["events"]]


def test_an_event_is_in_the_feed_with_the_very_body_that_was_recorded(reader: Reader) -> None:
    (event,) = record(
        reader.partner,
        type=EventType.LOAN_REPAID,
        loan_id=uuid.uuid4(),
        partner_loan_id="loan-1",
        sequence=4,
        data={"amount": "5000000", "rate": 1.5, "note": "Zoë"},
        extra={"totalRepaid": "5000000"},
    )

    page = reader.page()

    assert page["events"] == [json.loads(event.body)]
    assert page["events"][0]["totalRepaid"] == "5000000"
    assert list(page) == ["events", "next"]


def test_pages_go_on_from_next_and_hold_every_event_once_oldest_first(reader: Reader) -> None:
    other, _ = partner_with_key()
    written = []
    for _ in range(7):
        written += record(reader.partner)
        record(other)

    pages = list(reader.pages(limit=3))

    assert [len(page["events"]) for page in pages] == [3, 3, 1]
    assert ids(pages) == [str(event.pk) for event in written]


def test_next_of_an_empty_page_goes_on_with_what_comes_later(reader: Reader) -> None:
    empty = reader.page()
    again = reader.page(after=empty["next"])
    (event,) = record(reader.partner)

    assert (empty["events"], again["events"]) == ([], [])
    assert ids([reader.page(after=empty["next"])]) == ids([reader.page(after=again["next"])]) == [str(event.pk)]


def test_a_reader_without_events_of_its_own_stays_within_what_is_kept(reader: Reader) -> None:
    other, _ = partner_with_key()
    record(other, 3)
    cursor = reader.page()["next"]

    prune(other, until=3)

    assert reader.page(after=cursor)["events"] == []


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ({}, [0, 1, 2, 3]),
        ({"type": "loan.repaid"}, [1, 3]),
        ({"partnerLoanId": "loan-1"}, [0, 1]),
        ({"type": "loan.repaid", "partnerLoanId": "loan-2"}, [3]),
        ({"type": "loan.failed"}, []),
    ],
)
def test_events_are_chosen_by_type_and_by_loan(reader: Reader, query: dict[str, str], chosen: list[int]) -> None:
    written = [
        record(reader.partner, type=type_, loan_id=uuid.uuid4(), partner_loan_id=loan_id, sequence=1)[0]
        for loan_id in ("loan-1", "loan-2")
        for type_ in (EventType.LOAN_BORROWED, EventType.LOAN_REPAID)
    ]

    assert ids(list(reader.pages(limit=1, **query))) == [str(written[index].pk) for index in chosen]


@pytest.mark.parametrize(
    "query",
    [
        {"after": "42"},
        {"after": "gAAAAABpW5bI0xPjm6r0n5hJt3sVd9wYk2uCz8bLe4fAo1iGpTnRMs2c"},
        {"after": crypto.encrypt('["another","x",1]')},
        {"after": crypto.encrypt("a secret of another kind")},
        {"after": "g\u00e9"},
        {"limit": "0"},
        {"limit": "101"},
        {"type": "loan.invented"},
        {"partnerLoanId": "a/b"},
        {"cursor": "x"},
    ],
)
def test_a_query_that_is_wrong_is_400_and_names_its_field(reader: Reader, query: dict[str, str]) -> None:
    response = reader.get(**query)

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert list(response.json()["details"]) == list(query)


def test_another_partners_cursor_is_400(reader: Reader) -> None:
    response = reader.get(after=Reader().page()["next"])

    assert (response.status_code, list(response.json()["details"])) == (400, ["after"])


def test_a_cursor_from_before_what_was_deleted_is_410_and_a_new_beginning_is_not(reader: Reader) -> None:
    written = record(reader.partner, 4)
    first, second = (reader.page(limit=limit)["next"] for limit in (1, 2))

    prune(reader.partner, until=2)

    refused = reader.get(after=first)
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (410, "cursor_expired", False)
    assert ids([reader.page(after=second)]) == ids([reader.page()]) == [str(event.pk) for event in written[2:]]


def test_a_cursor_does_not_show_the_number_that_counts_everybodys_events(reader: Reader) -> None:
    record(reader.partner, 3)

    assert feed_cursor.number_in(reader.page()["next"], reader.partner.pk) == 3
    assert crypto.is_ciphertext(reader.page()["next"])


@contextmanager
def between_the_reads(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> Iterator[None]:
    """`act` happens after the rows of a page are read, and before what was deleted is asked."""
    read = selectors.feed_of

    def then_act(*args: Any, **kwargs: Any) -> list[Event]:
        found = read(*args, **kwargs)
        act()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(selectors, "feed_of", then_act)
        yield


def test_events_deleted_while_a_page_is_read_are_never_passed_over(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(reader.partner, 4)
    first = reader.page(limit=1)["next"]

    with between_the_reads(monkeypatch, lambda: prune(reader.partner, until=3)):
        refused = reader.get(after=first, limit=1)

    assert refused.json()["code"] == "cursor_expired"


def test_a_page_without_a_cursor_begins_at_the_oldest_kept_though_that_moved_while_it_was_read(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = record(reader.partner, 4)

    with between_the_reads(monkeypatch, lambda: prune(reader.partner, until=3)):
        page = reader.page(limit=2)

    assert page["events"] == []
    assert ids([reader.page(after=page["next"])]) == [str(written[3].pk)]


def test_an_event_numbered_while_a_page_is_read_is_on_that_page_or_on_the_next(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(reader.partner)

    def another() -> None:
        record(reader.partner)
        number_events()

    with between_the_reads(monkeypatch, another):
        page = reader.page()

    assert len(page["events"]) + len(reader.page(after=page["next"])["events"]) == 2


def test_a_failure_to_number_does_not_fail_the_read(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    record(reader.partner)
    before = reader.page()
    record(reader.partner)

    def fail(**_: object) -> int:
        raise DatabaseError("no pass")

    monkeypatch.setattr(feed, "number_events", fail)

    assert reader.page()["events"] == before["events"] != []


def test_a_page_costs_as_many_statements_however_many_events_it_holds(reader: Reader) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            reader.page()
        return len(captured)

    reader.page()
    empty = statements()
    record(reader.partner, 30)
    number_events()

    assert statements() == empty
