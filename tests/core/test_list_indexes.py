"""Whichever filters a partner's list of loans or of calls is asked with, the rows are found in order by an index."""

import itertools
import uuid
from typing import Any

import pytest
from django.db.models import QuerySet

from audit.selectors import CallSelection, own_calls_queries
from loans.models import LoanStatus
from loans.selectors import LoanSelection, loans_query
from partner_platform.core import clock
from partner_platform.core.web.pagination import Place, behind
from partners.models import Partner
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db

KEY = uuid.uuid4()
PLACE = Place(clock.now(), KEY)
LOAN_FILTERS: dict[str, Any] = {
    "status": LoanStatus.FAILED,
    "user_wallet": "0x" + "1" * 40,
    "partner_user_id": "user-1",
    "loan_purpose": "car",
}
CALL_FILTERS: dict[str, Any] = {"status_code": 400, "endpoint": "/partners/borrow", "request_id": "abc"}


def combinations(names: dict[str, Any]) -> list[tuple[str, ...]]:
    return [some for size in range(len(names) + 1) for some in itertools.combinations(names, size)]


def days(whether: bool) -> dict[str, Any]:
    return {"start": clock.today(), "end": clock.today()} if whether else {}


def loans(names: tuple[str, ...], has_days: bool) -> Any:
    given = {name: LOAN_FILTERS[name] for name in names}
    return loans_query(LoanSelection(partner=Partner(id=KEY, partner_id="p"), **given, **days(has_days)))


def calls(names: tuple[str, ...], has_days: bool) -> list[QuerySet[Any]]:
    given = {name: CALL_FILTERS[name] for name in names}
    return own_calls_queries(CallSelection(partner_id="p", **given, **days(has_days)))


@pytest.mark.parametrize("names", combinations(LOAN_FILTERS), ids="+".join)
def test_a_page_of_loans_is_found_in_order_by_an_index(names: tuple[str, ...]) -> None:
    for has_days in (False, True):
        found = loans(names, has_days)
        assert_uses_index(found[:11])
        assert_uses_index(behind(found, PLACE)[:11])


@pytest.mark.parametrize("names", combinations(CALL_FILTERS), ids="+".join)
def test_a_page_of_calls_is_found_in_order_by_an_index(names: tuple[str, ...]) -> None:
    """But for the calls of one of our own ids: there is one, and no order to be found in."""
    for has_days in (False, True):
        of_our_id = [True, False] if "request_id" in names else [False]
        for found, is_one in zip(calls(names, has_days), of_our_id, strict=True):
            assert_uses_index(found[:11], sorts=is_one)
            assert_uses_index(behind(found, PLACE, "timestamp")[:11], sorts=is_one)


@pytest.mark.parametrize(
    ("names", "index"),
    [
        (("status", "loan_purpose"), "loan_purpose_status"),
        (("status", "user_wallet"), "loan_user_status"),
    ],
)
def test_two_filters_that_each_have_many_loans_have_an_index_of_their_own(names: tuple[str, ...], index: str) -> None:
    assert_uses_index(loans(names, has_days=False)[:11], index=index)
