"""Every list of the staff API finds its rows, and their order, by an index, whatever it is filtered by."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet

from audit.selectors import LogSelection, list_logs, logs_queries
from loans.selectors import LoanSelection, loans_query
from partner_platform.core import clock
from partner_platform.core.web.pagination import Place, behind
from partners.models import ApiKey, Partner
from partners.selectors import PartnerSelection, partners_query
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db

PLACE = Place(clock.now(), uuid.uuid4())
A_PARTNER = Partner(id=PLACE.id, partner_id="partner_one")
WALLET = "0x" + "1" * 40
DAYS: dict[str, Any] = {"start": clock.today(), "end": clock.today()}


def some_loans(partner: Partner | None = None, **chosen: Any) -> QuerySet[Any]:
    return behind(loans_query(LoanSelection(partner=partner, **chosen)), PLACE)[:11]


def some_partners(**chosen: Any) -> QuerySet[Any]:
    return behind(partners_query(PartnerSelection(**chosen)), PLACE)[:11]


def some_logs(stream: int = 0, **chosen: Any) -> QuerySet[Any]:
    return behind(logs_queries(LogSelection(**chosen))[stream], PLACE, "timestamp")[:11]


LISTS: dict[str, Callable[[], QuerySet[Any]]] = {
    "partners": some_partners,
    "partners of a status": lambda: some_partners(status="ACTIVE"),
    "partners of a tier": lambda: some_partners(tier="BASIC"),
    "partners of a status and a tier": lambda: some_partners(status="ACTIVE", tier="BASIC"),
    "loans": some_loans,
    "loans of some days": lambda: some_loans(**DAYS),
    "loans of a status": lambda: some_loans(status="FAILED"),
    "loans of a wallet": lambda: some_loans(user_wallet=WALLET),
    "loans of a partner": lambda: some_loans(A_PARTNER),
    "loans of a partner and a status": lambda: some_loans(A_PARTNER, status="FAILED"),
    "loans of a partner's user": lambda: some_loans(A_PARTNER, partner_user_id="u-1"),
    "logs": some_logs,
    "logs of some days": lambda: some_logs(**DAYS),
    "logs of a partner": lambda: some_logs(partner_id="partner_one"),
    "logs of refusals": lambda: some_logs(success=False),
    "logs of a partner's refusals": lambda: some_logs(partner_id="partner_one", success=False),
    "logs of a status": lambda: some_logs(status_code=503),
    "logs of a partner's status": lambda: some_logs(partner_id="partner_one", status_code=503),
    "logs of a path": lambda: some_logs(endpoint="/partners/borrow"),
    "logs of a partner's path": lambda: some_logs(partner_id="partner_one", endpoint="/partners/borrow"),
    "logs of a partner's own request id": lambda: some_logs(1, partner_id="partner_one", request_id="mine"),
}


def test_of_the_calls_that_cannot_be_none_is_read(django_assert_num_queries: Any) -> None:
    """A status is a success or it is none: to look for both would walk all calls of one and find nothing."""
    with django_assert_num_queries(0):
        assert not list(logs_queries(LogSelection(success=True, status_code=503))[0])
        page = list_logs(LogSelection(success=False, status_code=200), limit=10, offset=0, cursor=None)
    assert (page.total, page.rows, page.next) == (0, [], None)
    assert_uses_index(some_logs(success=False, status_code=503), index="apilog_status_place")
    assert_uses_index(some_logs(success=True, status_code=302, partner_id="partner_one"), index="apilog_partner_status")


@pytest.mark.parametrize("name", LISTS)
def test_a_deep_page_is_found_by_an_index_and_in_its_order(name: str) -> None:
    assert_uses_index(LISTS[name]())


@pytest.mark.parametrize("name", [name for name in LISTS if "of" not in name])
def test_a_first_page_of_all_is_found_by_an_index_in_its_order(name: str) -> None:
    """No condition bounds it: the index is walked from its end, and no further than the page."""
    query: QuerySet[Any] = {
        "partners": lambda: partners_query(PartnerSelection()),
        "loans": lambda: loans_query(LoanSelection(partner=None)),
        "logs": lambda: logs_queries(LogSelection())[0],
    }[name]()[:11]
    with pytest.raises(AssertionError) as raised:
        assert_uses_index(query)
    assert "sort" not in str(raised.value).split(" in the plan")[0]


def test_the_rows_of_a_request_id_are_found_by_it() -> None:
    assert_uses_index(some_logs(request_id="abc"), sorts=True)


def test_the_newest_keys_of_a_partner_are_found_by_an_index() -> None:
    assert_uses_index(ApiKey.objects.filter(partner_id=PLACE.id).order_by("-created_at")[:100])
