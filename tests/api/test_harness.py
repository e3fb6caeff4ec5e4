"""Schemathesis as we run it notices what it is there for: each kind of lie about the schema fails."""

from collections.abc import Callable
from typing import Any

import pytest
from schemathesis.core.failures import FailureGroup

from loans.api import public
from loans.api.views import LoanViewSet
from partner_platform.core.errors import BadRequest, Conflict, ErrorCode
from tests.api import fuzzing
from tests.api.fuzzing import World

pytestmark = pytest.mark.django_db(transaction=True)

STATS, LOANS = "GET /partners/my/stats", "GET /partners/user/{userWallet}/loans"


@pytest.fixture
def failures(world: World) -> Callable[..., str]:
    """Make the call, and tell what is wrong with its answer: nothing, or the failures' texts."""

    def tell(label: str, **parts: Any) -> str:
        case = fuzzing.load().find_operation_by_label(label).Case(**parts)
        response = case.call(headers=world.headers)
        try:
            world.validate(case, response)
        except FailureGroup as group:
            return "\n".join(str(failure) for failure in group.exceptions)
        return ""

    return tell


def test_the_truth_passes(failures: Callable[..., str], world: World) -> None:
    assert failures(STATS) == ""
    assert failures(LOANS, path_parameters={"userWallet": world.users[0].wallet}) == ""


def test_a_field_that_the_schema_does_not_tell_of_fails(failures: Callable[..., str], monkeypatch: Any) -> None:
    told = public.present_credit_line
    monkeypatch.setattr(public, "present_credit_line", lambda reading: {**told(reading), "surprise": 1})

    assert "surprise" in failures(
        "GET /partners/public/oaid/{oaidTokenId}/credit-line", path_parameters={"oaidTokenId": "1"}
    )


def test_a_missing_field_fails(failures: Callable[..., str], monkeypatch: Any) -> None:
    told = public.present_credit_line
    monkeypatch.setattr(public, "present_credit_line", lambda reading: {**told(reading), "owner": None})

    assert "owner" in failures(
        "GET /partners/public/oaid/{oaidTokenId}/credit-line", path_parameters={"oaidTokenId": "1"}
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Conflict(ErrorCode.DUPLICATE_LOAN_ID, "no"), "Undocumented status code"),
        (BadRequest(ErrorCode.LOAN_ALREADY_REPAID, "no"), "loan_already_repaid"),
        (ValueError("a bug"), "Server error"),
    ],
)
def test_a_status_a_code_or_a_bug_that_is_not_the_operations_fails(
    failures: Callable[..., str], monkeypatch: Any, world: World, error: Exception, told: str
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr("loans.api.user_loans.selectors.list_user_loans", fail)

    assert told in failures(LOANS, path_parameters={"userWallet": world.users[0].wallet})


def test_an_operation_that_asks_nobody_who_they_are_fails(failures: Callable[..., str], monkeypatch: Any) -> None:
    def anybody(self: Any, request: Any) -> None:
        request.user, request._auth = type("Anybody", (), {"partner": world_partner})(), None

    from partners.models import Partner

    world_partner = Partner.objects.get()
    monkeypatch.setattr(LoanViewSet, "perform_authentication", anybody)
    monkeypatch.setattr(LoanViewSet, "check_permissions", lambda *_: None)

    assert "without authentication" in failures(STATS)


def test_valid_data_that_is_refused_fails(world: World, monkeypatch: Any) -> None:
    operation = fuzzing.load().find_operation_by_label("GET /partners/my/transactions")
    case = operation.Case(query={"limit": 0})
    response = case.call(headers=world.headers)
    monkeypatch.setattr(fuzzing, "is_valid_by_schema", lambda _: True)

    with pytest.raises(AssertionError, match="Valid by the schema and refused"):
        fuzzing.is_refused_for_its_substance(None, response, case)
