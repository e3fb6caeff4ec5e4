"""What holds on every endpoint of the API, those that are added tomorrow included: each is found in the URL conf."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from audit.models import ApiLog
from partner_platform.core.openapi import document
from tests.api.endpoints import endpoints
from tests.api.fuzzing import World

pytestmark = pytest.mark.django_db(transaction=True)

PARAMETER = re.compile(r"<(\w+)>")
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


def test_a_control_character_is_in_no_path_of_ours(world: World) -> None:
    for path in ("/partners/loan/%00", "/partners/loan/a%0Ab", "/health%7F", "/%00"):
        answer = send(world, "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def query_parameters() -> list[tuple[str, str]]:
    """Each path with each query parameter that its schema tells of."""
    return [
        (path, parameter["name"])
        for path, item in document.make()["paths"].items()
        for parameter in item.get("get", {}).get("parameters", [])
        if parameter.get("in") == "query"
    ]


def test_malformed_text_in_a_query_is_refused(world: World) -> None:
    found, wrong = query_parameters(), []
    for path, name in found:
        for text in (*NASTY, "%ff", "%ed%a0%80"):
            query = f"{name}={text if text.startswith('%') else quote(text)}"
            answer = send(world, "GET", f"{path.format(userWallet=world.users[0].wallet)}?{query}")
            if answer.status_code != 400 or list(answer.json()["details"]) != [name]:
                wrong.append((path, query[:40], answer.status_code))
    assert ("/partners/my/transactions", "cursor") in found
    assert wrong == []
