"""Every error leaves in one envelope, with the caller told no more than it may know."""

import logging
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import TooManyFieldsSent
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404
from django.test import RequestFactory
from pymongo.errors import AutoReconnect, PyMongoError
from rest_framework import exceptions as drf
from rest_framework.request import Request

from partner_platform.core.error_catalogue import CATALOGUE
from partner_platform.core.errors import (
    OUTCOME_UNKNOWN,
    PROBLEM_CODES,
    BadRequest,
    Conflict,
    ErrorCode,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    invalid_fields,
)
from partner_platform.core.web import exception_handler
from partner_platform.core.web.repeating import Repetition


def answer(error: Exception, method: str = "GET") -> Any:
    request = Request(RequestFactory().generic(method, "/"))
    request._request.request_id = "request-1"  # type: ignore[attr-defined]
    return exception_handler.handle_exception(error, {"request": request})


def test_the_envelope_has_the_contracts_fields_and_no_others() -> None:
    details = {"availableCredit": "3000000000"}
    response = answer(
        BadRequest(ErrorCode.INSUFFICIENT_CREDIT, "Insufficient credit. Available: $3000", details=details)
    )
    assert response.status_code == 400
    assert response.data == {
        "success": False,
        "statusCode": 400,
        "error": "Bad Request",
        "message": "Insufficient credit. Available: $3000",
        "code": "insufficient_credit",
        "requestId": "request-1",
        "retryable": False,
        "details": details,
    }
    assert "Retry-After" not in response


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (drf.NotFound(), 404, "not_found"),
        (Http404(), 404, "not_found"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf.UnsupportedMediaType("text/xml"), 415, "unsupported_media_type"),
        (drf.ParseError("bad"), 400, "invalid_request"),
        (drf.NotAuthenticated(), 401, "missing_api_key"),
        (drf.PermissionDenied(), 403, "permission_denied"),
        (drf.ValidationError({"borrowAmount": ["Wrong."]}), 400, "invalid_request"),
        (Conflict(ErrorCode.DUPLICATE_LOAN_ID, "exists"), 409, "duplicate_loan_id"),
    ],
)
def test_each_kind_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    response = answer(error)
    assert (response.status_code, response.data["statusCode"], response.data["code"]) == (status, status, code)


def test_a_validation_error_names_its_fields() -> None:
    response = answer(
        drf.ValidationError({"borrowAmount": ["Wrong.", "Odd."], "userAuthorization": {"nonce": ["Bad."]}})
    )
    assert response.data["message"] == "borrowAmount: Wrong; userAuthorization.nonce: Bad."
    assert set(response.data["details"]) == {"borrowAmount", "userAuthorization"}
    assert invalid_fields({"a": ["One."]}).message == "a: One."
    assert invalid_fields({"a": {"non_field_errors": ["No object."]}, "non_field_errors": ["Two."]}).message == (
        "a: No object; non_field_errors: Two."
    )
    assert invalid_fields({}).message == "Invalid request"


def test_an_invalid_request_lists_each_problem_with_its_path_and_code() -> None:
    details: Any = {
        "borrowAmount": [drf.ErrorDetail("Too much.", code="max_value"), "Odd."],
        "userAuthorization": {"nonce": [drf.ErrorDetail("Is missing.", code="required")], "non_field_errors": ["No."]},
        "eventTypes": {0: ["Unknown."]},
        "rows": [{}, {"amount": ["Bad."]}],
    }
    response = answer(drf.ValidationError(details))
    assert response.data["errors"] == [
        {"field": "borrowAmount", "code": "max_value", "message": "Too much."},
        {"field": "borrowAmount", "code": "invalid", "message": "Odd."},
        {"field": "userAuthorization.nonce", "code": "required", "message": "Is missing."},
        {"field": "userAuthorization", "code": "invalid", "message": "No."},
        {"field": "eventTypes.0", "code": "invalid", "message": "Unknown."},
        {"field": "rows.1.amount", "code": "invalid", "message": "Bad."},
    ]
    assert response.data["details"]["borrowAmount"] == ["Too much.", "Odd."]


def test_a_problems_code_is_one_of_the_contracts_and_any_other_of_the_framework_is_invalid() -> None:
    codes = [*sorted(PROBLEM_CODES), "invalid"]
    more = ["null_characters_not_allowed", "max_string_length", "surrogate_characters_not_allowed"]
    details: Any = {"userWallet": [drf.ErrorDetail("Odd.", code=code) for code in (*codes, *more)]}

    told = [problem["code"] for problem in answer(drf.ValidationError(details)).data["errors"]]

    assert told == [*codes, "invalid", "invalid", "invalid"]


def test_the_codes_of_problems_are_those_that_partners_are_told() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
    listed = page.partition("The codes are ")[2].partition("everything else.")[0]
    assert set(re.findall(r"`([a-z_]+)`", listed)) == PROBLEM_CODES | {"invalid"}


def test_a_body_that_cannot_be_parsed_is_one_problem_of_the_body() -> None:
    response = answer(drf.ParseError("The body must be a JSON object"), "POST")
    assert (response.data["message"], response.data["details"]) == (
        "The body must be a JSON object",
        {"body": ["The body must be a JSON object"]},
    )
    assert response.data["errors"] == [
        {"field": "body", "code": "parse_error", "message": "The body must be a JSON object"}
    ]


def test_no_key_is_told_in_a_list_of_problems() -> None:
    key = "pk_test_sandbox_0123456789abcdef0123456789abcdef"
    told = answer(drf.ValidationError({key: [f"Unknown {key}."]})).data["errors"]
    assert told == [{"field": "***", "code": "invalid", "message": "Unknown ***."}]


def test_another_media_type_is_told_which_one_to_send() -> None:
    response = answer(drf.UnsupportedMediaType("text/xml"), "POST")
    assert response.data["message"] == 'Unsupported media type "text/xml" in request: send application/json'
    assert response.data["details"] == {"Content-Type": ["Must be application/json."]}


def test_more_parameters_than_anybody_reads_are_a_bad_request() -> None:
    response = answer(TooManyFieldsSent("1001"))
    assert (response.status_code, response.data["details"]) == (400, {"request": ["Has more than 1000 parameters."]})


class View:
    """Two ways to act: a borrow's body has an id that counts once, a repayment's has none."""

    def borrow(self) -> None: ...

    def repay(self) -> None: ...

    def read(self) -> None: ...

    borrow.repetition = Repetition(is_once=True)  # type: ignore[attr-defined]
    repay.repetition = Repetition(is_once=False)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("action", "key", "of_a_bug", "of_a_lost_database"),
    [
        ("borrow", "one", True, True),
        ("borrow", "", False, True),  # its partnerLoanId is accepted once
        ("repay", "one", True, True),
        ("repay", "", False, False),  # a second one is another payment
        ("repay", " ", False, False),
        ("read", "one", False, True),
    ],
)
def test_what_may_have_happened_is_retryable_where_it_cannot_happen_twice(
    action: str, key: str, of_a_bug: bool, of_a_lost_database: bool
) -> None:
    view: Any = View()
    view.action = action
    for error, retryable in ((ValueError("a bug"), of_a_bug), (OperationalError("gone"), of_a_lost_database)):
        request = Request(RequestFactory().post("/", headers={"Idempotency-Key": key}))
        response = exception_handler.handle_exception(error, {"request": request, "view": view})
        assert response.data["retryable"] is retryable
        assert "Retry-After" in response or (response.status_code, retryable) == (500, False)


def test_an_unauthorized_answer_says_how_to_authenticate() -> None:
    assert answer(Unauthorized(ErrorCode.MISSING_API_KEY, "Missing API key"))["WWW-Authenticate"] == "Bearer"


def test_what_may_be_tried_again_says_when() -> None:
    response = answer(TooManyRequests(ErrorCode.RATE_LIMITED, "Slow down", retry_after=17))
    assert (response["Retry-After"], response.data["retryable"]) == ("17", True)
    assert answer(Unavailable(ErrorCode.CHAIN_UNAVAILABLE, "No chain"))["Retry-After"] == "2"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def conflict() -> AutoReconnect:
    error = AutoReconnect("write conflict")
    error._add_error_label("TransientTransactionError")
    return error


def labelled(label: str) -> PyMongoError:
    error = PyMongoError("of a kind of its own")
    error._add_error_label(label)
    return error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("server closed the connection"),
        InterfaceError("connection already closed"),
        AutoReconnect("primary stepped down"),
        caused(DatabaseError("write conflict"), conflict()),
        caused(DatabaseError("commit timed out"), labelled("UnknownTransactionCommitResult")),
    ],
)
def test_a_database_that_cannot_be_reached_is_503_and_tells_no_address(error: Exception) -> None:
    read, write = answer(error), answer(error, "POST")
    for response in (read, write):
        assert (response.status_code, response.data["code"]) == (503, "database_unavailable")
        assert response["Retry-After"] == "2"
        assert str(error) not in str(response.data)
    assert (read.data["message"], write.data["message"]) == ("The database cannot be reached", OUTCOME_UNKNOWN)


def test_an_open_outcome_says_what_is_safe_on_each_path() -> None:
    """A repayment has no `partnerLoanId` of its own: without a key a repetition is a second repayment."""
    assert OUTCOME_UNKNOWN.partition(": ")[2] == (
        "to ask again with the same Idempotency-Key is safe and finds out, for a borrow also to ask again with "
        "the same partnerLoanId. A repayment without a key must not be repeated unread: read the loan first"
    )
    assert "or for a loan" not in CATALOGUE[ErrorCode.DATABASE_UNAVAILABLE].when


def test_no_503_claims_what_is_not_known() -> None:
    """Of a database or platform that was lost nobody knows what it committed; the others speak of their own request."""
    for code, entry in CATALOGUE.items():
        if entry.status == HTTPStatus.SERVICE_UNAVAILABLE:
            told = f"{entry.when} {entry.message}"
            assert "nothing was" not in told
            assert ("not known" in told) is (code in (ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.SERVICE_UNAVAILABLE))


@pytest.mark.parametrize("error", [ValueError("secret"), DatabaseError("secret")])
def test_a_bug_is_logged_and_told_as_a_bare_500(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = answer(error)
    assert (response.status_code, response.data["code"], response.data["retryable"]) == (500, "internal_error", False)
    assert "secret" not in str(response.data)
    assert "secret" in caplog.text


def test_djangos_own_answers_are_in_the_envelope_too() -> None:
    request = RequestFactory().get("/nowhere")
    for view, status in ((exception_handler.not_found, 404), (exception_handler.bad_request, 400)):
        assert view(request).status_code == status
    assert exception_handler.server_error(request).status_code == 500
