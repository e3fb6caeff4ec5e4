"""What holds on every endpoint of the staff API, those that are added tomorrow included."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from audit.models import ApiLog, AuditEntry
from partner_platform.core.openapi import document
from tests.api.endpoints import endpoints
from tests.api.test_conventions import FREE_TEXTS, IN_SCHEMA, NASTY, PARAMETER, query_parameters
from tests.staff.world import StaffWorld

pytestmark = pytest.mark.django_db

API = sorted((method, path) for method, path in endpoints() if path.startswith("/admin/"))
SOME_NASTY = NASTY[::3]  # the others are the partners' lists', whose fields these are
TEXTS = {*FREE_TEXTS, "partnerId"}  # any text is looked for, and not found
IS_PARTNERS_WORD = ("partnerUserId", "loanPurpose")


def example(world: StaffWorld, path: str) -> str:
    """The path with good values of its parameters."""
    values = {re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name): v for name, v in world.values.items()}
    return PARAMETER.sub(lambda found: values[found[1]], path)


def test_a_malformed_id_in_a_path_is_not_found(world: StaffWorld) -> None:
    wrong = []
    for path in (path for method, path in API if method == "GET" and PARAMETER.search(path)):
        for text in NASTY:
            answer = world.api.get(PARAMETER.sub(quote(text, safe=""), path))
            if answer.status_code != 404 or answer.json()["success"]:
                wrong.append((path, text, answer.status_code))
    assert wrong == []


def test_a_parameter_that_the_call_does_not_take_and_a_version_that_there_is_not_are_refused(world: StaffWorld) -> None:
    assert world.values  # what the paths name is there
    before = AuditEntry.objects.count(), ApiLog.objects.count()
    paths = document.make_document()["paths"]
    for method, path in API:
        known = _parameters(paths, "get" if method == "HEAD" else method.lower(), path)
        answer = world.api(method, f"{example(world, path)}?limt=1")
        assert answer.status_code == 400, (method, path)
        version = world.api(method, example(world, path), **{"API-Version": "2025-01-01"})
        assert (version.status_code, version["API-Version"]) == (400, "2026-01-05"), (method, path)
        if method != "HEAD":
            takes = ", ".join(sorted(known)) or "none"
            assert answer.json()["details"] == {"limt": [f"Unknown parameter. This call takes {takes}."]}, path
            assert version.json()["code"] == "unsupported_api_version", path
    assert (AuditEntry.objects.count(), ApiLog.objects.count()) == before


def _parameters(paths: dict[str, Any], method: str, path: str) -> list[str]:
    """The query parameters of a call that its schema tells of."""
    (item,) = (item for where, item in paths.items() if PARAMETER.sub("*", path) == IN_SCHEMA.sub("*", where))
    return [one["name"] for one in item[method].get("parameters", []) if one.get("in") == "query"]


def test_allow_lists_what_the_path_answers_and_no_cache_keeps_an_answer(world: StaffWorld) -> None:
    for path in sorted({path for _, path in API}):
        answered = {method for method, where in API if where == path}
        answer = world.api("PUT", example(world, path))
        assert answer.status_code == 405, path
        assert {allowed.strip() for allowed in answer["Allow"].split(",")} == answered, path
        assert (answer["Cache-Control"], answer["Vary"]) == ("no-store", "Authorization, API-Version"), path


def test_malformed_and_empty_text_in_a_query_is_refused_by_name(world: StaffWorld) -> None:
    found, wrong = query_parameters("/admin/"), []
    for path, name in found:
        more = "&partnerId=partner_len0_001" if name in IS_PARTNERS_WORD else ""
        for text in (*SOME_NASTY, "%ff", ""):
            answer = world.api.get(
                f"{path.format(**world.values)}?{name}={text if text.startswith('%') else quote(text)}{more}"
            )
            if not _is_refused(answer, name, text):
                wrong.append((path, name, text[:20], answer.status_code))
    assert ("/admin/loans", "cursor") in found
    assert wrong == []


def _is_refused(answer: Any, name: str, text: str) -> bool:
    if name in TEXTS and text and answer.status_code in (200, 404):
        return answer.status_code == 404 or answer.json()["total"] == 0
    return answer.status_code == 400 and list(answer.json()["details"]) == [name]
