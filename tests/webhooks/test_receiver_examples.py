"""docs/webhooks.md: its lines for receivers, run as they stand there, take what is signed and nothing else."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from events.kinds import EventType

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "webhooks.md").read_text()
SECRET, FORMER = (f"whsec_{base64.b64encode(bytes([byte]) * 32).decode()}" for byte in (251, 7))
BODY = '{"id":"0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55","data":{"note":"Zoë"}}'.encode()
Headers = dict[str, str]
Check = Callable[[Headers, bytes, str], bool]


def headers_of(body: bytes = BODY, *, secrets: tuple[str, ...] = (SECRET,), age: int = 0) -> Headers:
    """What an event is sent with, signed by each secret as Standard Webhooks says."""
    headers = {"webhook-id": "0a1d2f6e-9d40-4f0b-8a6a-4f6c1f0b7c55", "webhook-timestamp": str(int(time.time()) - age)}
    signed = ".".join([*headers.values(), ""]).encode() + body
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    signatures = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    return {**headers, "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures)}


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def by_python(headers: Headers, body: bytes, secret: str) -> bool:
    names: dict[str, Check] = {}
    exec(examples("python")[0], names)  # noqa: S102 - the page's own lines
    return names["is_ours"](headers, body, secret)


def by_javascript(headers: Headers, body: bytes, secret: str) -> bool:
    values = json.dumps([headers, body.decode(), secret])
    script = f"{examples('js')[0]}\nprocess.stdout.write(String(isOurs(...{values})));"
    command: list[str | Path] = [PROJECT / "tools" / "with-node", "node", "-e", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout == "true"


def by_the_library(headers: Headers, body: bytes, secret: str) -> bool:
    names: dict[str, Callable[[Headers, bytes, str], object]] = {}
    exec(examples("python")[1], names)  # noqa: S102
    try:
        return names["event_of"](headers, body, secret) == json.loads(body)
    except WebhookVerificationError:
        return False


@pytest.mark.parametrize("check", [by_python, by_javascript, by_the_library])
def test_the_lines_of_the_page_take_what_is_signed_and_nothing_else(check: Check) -> None:
    assert check(headers_of(), BODY, SECRET)
    assert check(headers_of(secrets=(SECRET, FORMER)), BODY, FORMER)
    assert not check(headers_of(), BODY + b" ", SECRET)
    assert not check(headers_of(), BODY, FORMER)
    assert not check(headers_of(age=301), BODY, SECRET)
    assert not check({**headers_of(), "webhook-id": "another"}, BODY, SECRET)


def test_the_check_by_hand_is_six_lines() -> None:
    (body,) = re.findall(r"def is_ours.*", examples("python")[0], re.DOTALL)

    assert len(body.splitlines()) == 6


def test_the_page_lists_every_type_of_event_once() -> None:
    assert sorted(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", PAGE, re.MULTILINE)) == sorted(EventType.values)
