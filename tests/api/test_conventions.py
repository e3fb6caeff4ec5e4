"""What holds on every endpoint of the API, those that are added tomorrow included: each is found in the URL conf."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from audit.models import ApiLog
from loans.models import PartnerLoan
from partner_platform.core.openapi import document
from tests.api.endpoints import endpoints
from tests.api.fuzzing import World

pytestmark = pytest.mark.django_db(transaction=True)

PARAMETER, IN_SCHEMA = re.compile(r"<(\w+)>"), re.compile(r"\{\w+\}")
API = sorted((method, path) for method, path in endpoints() if path.startswith("/partners/"))
READS = [path for method, path in API if method == "GET"]
# Text that one of the databases, a regular expression or a terminal could stumble over.
NASTY = (
    "\x00",
    "a\x00b",
    "1\n",
    "\x7f",
    "\x1b[31m",
    " 1",
    "é",
    "\u0661",
    "\ufeff",
    "\ud7ff",
    "$gt",
    "*",
    "x" * 3000,
    "-1",
)


def send(world: World, method: str, path: str, **headers: str) -> Any:
    """The call with a good key, and no body."""
    headers = {**world.headers, "Prefer": "respond-async", **headers}
    return Client(raise_request_exception=False).generic(method, path, b"", "application/json", headers=headers)


def example(world: World, path: str) -> str:
    """The path with good values of its parameters."""
    user = world.users[0]
    values = {
        "oaid_token_id": user.oaid_token_id,
        "position_id": user.position_id,
        "user_wallet": user.wallet,
        "partner_loan_id": "loan-1",
        "month": "2026-01",
        **dict.fromkeys(("endpoint_id", "delivery_id", "key_id"), "9f0c1d3e-6a54-4c0f-8d6b-3b1f0f3f5a10"),
        "repayment_id": "9f0c1d3e-6a54-4c0f-8d6b-3b1f0f3f5a10",
    }
    return PARAMETER.sub(lambda found: str(values[found[1]]), path)


@pytest.mark.parametrize("path", [path for path in READS if PARAMETER.search(path)])
def test_a_malformed_id_in_a_path_is_refused_or_not_found_and_logged(world: World, path: str) -> None:
    wrong = []
    for text in NASTY:
        before = ApiLog.objects.count()
        answer = send(world, "GET", PARAMETER.sub(quote(text, safe=""), path))
        logged = ApiLog.objects.count() - before
        if answer.status_code not in (400, 404) or logged != 1 or answer.json()["success"]:
            wrong.append((text, answer.status_code, logged, answer.content[:200]))
    assert wrong == []


@pytest.mark.parametrize(("method", "path"), API)
def test_a_parameter_that_the_call_does_not_take_is_refused_by_name_and_told_which_it_takes(
    world: World, method: str, path: str
) -> None:
    takes = sorted(name for where, name in query_parameters() if PARAMETER.sub("*", path) == IN_SCHEMA.sub("*", where))
    answer = send(world, method, f"{example(world, path)}?limt=1")
    assert answer.status_code == 400
    if method != "HEAD":
        told = f"Unknown parameter. This call takes {', '.join(takes) or 'none'}."
        assert (answer.json()["code"], answer.json()["details"]) == ("invalid_request", {"limt": [told]})


def test_a_parameter_is_given_once(world: World) -> None:
    answer = send(world, "GET", "/partners/my/transactions?type=BORROW&type=REPAY&limt=1")
    assert answer.json()["message"].startswith("limt: Unknown parameter. This call takes cursor, ")
    assert answer.json()["message"].endswith("; type: Is given twice.")
    assert not PartnerLoan.objects.exists()


def test_a_thousand_parameters_are_a_bad_request_that_is_logged(world: World) -> None:
    before = ApiLog.objects.count()
    answer = send(world, "GET", f"/partners/my/transactions?{'a&' * 1100}a")
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["request"])
    assert ApiLog.objects.count() == before + 1


def test_a_path_has_its_own_parameter_and_not_the_querys(world: World) -> None:
    path = example(world, "/partners/user/<user_wallet>/loans")
    assert send(world, "GET", f"{path}?userWallet={world.users[1].wallet}").status_code == 400
    assert send(world, "GET", path).status_code == 200


@pytest.mark.parametrize("name", ["type", "status"])
def test_a_word_that_is_none_of_a_few_is_told_them(world: World, name: str) -> None:
    words = {"type": "BORROW, REPAY", "status": "PENDING, SUCCESS, FAILED"}[name]
    answer = send(world, "GET", f"/partners/my/transactions?{name}=borrow")
    assert (answer.status_code, answer.json()["details"]) == (400, {name: [f"Must be one of {words}."]})


@pytest.mark.parametrize(
    "path", sorted({path for _, path in endpoints() if path.startswith(("/partners/", "/health/"))})
)
def test_allow_lists_what_the_path_answers_and_nothing_else(world: World, path: str) -> None:
    answered = {method for method, where in endpoints() if where == path}
    for method in sorted({"OPTIONS", "PUT", "DELETE"} - answered):
        answer = send(world, method, example(world, path))
        assert answer.status_code == 405
        assert {allowed.strip() for allowed in answer["Allow"].split(",")} == answered


def test_no_cache_keeps_an_answer_and_vary_names_what_it_was_chosen_by(world: World) -> None:
    user = world.users[0]
    varies = {
        "/partners/my/stats": "Authorization, API-Version",
        "/partners/my/transactions": "Authorization, API-Version, Accept",
        "/partners/loan/unknown": "Authorization, API-Version",
        f"/partners/public/oaid/{user.oaid_token_id}/credit-line": "API-Version",
        "/health/live": None,
        "/nowhere": None,
        "/partners/loan/%00": None,
    }
    for path, expected in varies.items():
        answer = send(world, "GET", path)
        assert (answer["Cache-Control"], answer.headers.get("Vary")) == ("no-store", expected), path
    csv = send(world, "GET", "/partners/my/transactions", Accept="text/csv")
    assert (csv["Cache-Control"], csv["Vary"]) == ("no-store", "Authorization, API-Version, Accept")
    assert send(world, "GET", "/partners/my/stats", Authorization="")["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("method", "path"), API)
def test_a_version_that_there_is_not_is_refused_and_every_answer_names_its_own(
    world: World, method: str, path: str
) -> None:
    answer = send(world, method, example(world, path), **{"API-Version": "2025-01-01"})
    assert (answer.status_code, answer["API-Version"]) == (400, "2026-01-05")
    if method != "HEAD":
        assert (answer.json()["code"], answer.json()["details"]) == (
            "unsupported_api_version",
            {"supported": ["2026-01-05"]},
        )


def test_a_control_character_is_in_no_path_of_ours(world: World) -> None:
    for path in ("/partners/loan/%00", "/partners/loan/a%0Ab", "/health%7F", "/%00"):
        answer = send(world, "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def query_parameters(below: str = "/partners/") -> list[tuple[str, str]]:
    """Each path with each query parameter that its schema tells of."""
    return [
        (path, parameter["name"])
        for path, item in document.make_document()["paths"].items()
        if path.startswith(below)
        for parameter in item.get("get", {}).get("parameters", [])
        if parameter.get("in") == "query"
    ]


# What a caller may have called something: any text is looked for, and not found.
FREE_TEXTS = {"partnerUserId", "loanPurpose", "requestId"}


def test_malformed_text_in_a_query_is_refused(world: World) -> None:
    found, wrong = query_parameters(), []
    for path, name in found:
        for text in (*NASTY, "%ff", "%ed%a0%80"):
            if (name, text) == ("partnerLoanId", "-1"):
                continue  # a good id of a loan
            query = f"{name}={text if text.startswith('%') else quote(text)}"
            answer = send(world, "GET", f"{path.format(userWallet=world.users[0].wallet)}?{query}")
            if answer.status_code == 200 and name in FREE_TEXTS and not answer.json()["total"]:
                continue
            if answer.status_code != 400 or list(answer.json()["details"]) != [name]:
                wrong.append((path, query[:40], answer.status_code))
    assert ("/partners/my/transactions", "cursor") in found
    assert wrong == []


def test_an_empty_parameter_is_refused_by_name_and_never_passed_over(world: World) -> None:
    found, wrong = query_parameters(), []
    for path, name in found:
        answer = send(world, "GET", f"{path.format(userWallet=world.users[0].wallet)}?{name}=")
        if (answer.status_code, list(answer.json().get("details", {}))) != (400, [name]):
            wrong.append((path, name, answer.status_code))
    assert {path for path, _ in found} >= {"/partners/my/events", "/partners/my/transfers"}
    assert wrong == []


@pytest.mark.parametrize("path", ["/docsx", "/docs/redocs", "/openapi.json?limt=1", "/docs"])
def test_an_error_is_kept_by_no_cache_wherever_it_is_and_only_pages_have_no_version(world: World, path: str) -> None:
    answer = send(world, "POST", path)
    assert answer.status_code in (404, 405)
    assert answer["Cache-Control"] == "no-store"
    assert ("API-Version" in answer) == (path != "/docs")
