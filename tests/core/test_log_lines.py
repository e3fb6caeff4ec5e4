"""A log line is one line, whatever a caller puts into it, and holds no key."""

import logging
import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from partner_platform.core.secrets.masking import MaskingFormatter
from tests.factories import partner_with_key

KEY = "pk_xyz_sandbox_" + "a" * 32
FORGED = "2026-11-24 18:00:00,000 CRITICAL audit forged line"
LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +\S+ \[[^]]*\] ")


def lines(message: str, *args: Any, error: Exception | None = None) -> list[str]:
    """What the platform's own formatter makes of a record."""
    options = {name: value for name, value in settings.LOGGING["formatters"]["line"].items() if name != "()"}
    formatter = MaskingFormatter(options["format"], style=options["style"])
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("audit", logging.INFO, __file__, 1, message, args, exc_info)
    record.request_id = "-"
    return formatter.format(record).split("\n")


@pytest.mark.parametrize(
    "control", ["\n", "\r", "\x1b[31m", "\x00", "\x7f", "\x85", "\u2028", "\u202e", "\x08", "\ud800"]
)
def test_control_characters_are_escaped(control: str) -> None:
    found = lines("GET %s -> 404", f"/a{control}{FORGED}")
    assert len(found) == 1
    assert LINE.match(found[0])
    assert found[0].isprintable()
    assert FORGED in found[0]


def test_no_line_of_a_traceback_passes_for_a_record() -> None:
    try:
        raise ValueError(f"a{chr(10)}{FORGED}\x1b[31m{chr(13)}{FORGED} {KEY}")
    except ValueError as error:
        found = lines("it failed", error=error)
    assert LINE.match(found[0])
    assert len(found) > 4
    for line in found[1:]:
        assert line.startswith("  | ")
        assert line.isprintable()
    assert KEY not in "".join(found)


def test_keys_are_masked_wherever_they_stand() -> None:
    secret = KEY.replace("pk_", "sk_")
    (line,) = lines("GET /partners/loan/%s?x=%s and Bearer abc.def", KEY, secret)
    assert "aaaa" not in line
    assert "abc.def" not in line
    assert line.endswith("GET /partners/loan/***?x=*** and Bearer ***")


@pytest.mark.django_db
def test_each_request_has_one_line_with_what_operators_ask_for(caplog: pytest.LogCaptureFixture) -> None:
    partner, key = partner_with_key()
    client = Client(REMOTE_ADDR="203.0.113.9")
    with caplog.at_level(logging.INFO, logger="access"):
        headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "order-1"}
        answer = client.get("/partners/my/stats?a=secret", headers=headers)
        client.get("/partners/loan/%0aforged%20line%1b[31m")
    first, second = [record.getMessage() for record in caplog.records if record.name == "access"]
    assert re.fullmatch(
        rf"GET /partners/my/stats -> {answer.status_code} ms=\d+ bytes={len(answer.content)} ip=203.0.113.9 "
        rf"partner={partner.partner_id} client_request=order-1",
        first,
    )
    assert second.startswith("GET /partners/loan/%0Aforged%20line%1B%5B31m -> ")
    assert second.endswith("ip=203.0.113.9 partner=- client_request=-")
