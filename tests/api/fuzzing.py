"""Schemathesis on the real platform: its settings, and what a JSON Schema cannot tell it.

`API_EXAMPLES` sets how many examples each operation gets, `API_SEED` which.
"""

import copy
import datetime as dt
import os
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import schemathesis
from django.core.wsgi import get_wsgi_application
from eth_utils.address import to_checksum_address
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig

from partner_platform.core import clock
from partner_platform.core.fields import MAX_BASE_UNITS, MAX_UINT256
from partner_platform.core.openapi import document
from tests.factories import DOLLAR

SEED = int(os.environ.get("API_SEED") or 5003)
EXAMPLES = int(os.environ.get("API_EXAMPLES") or {"sqlite": 30}.get(os.environ.get("DB") or "sqlite", 10))
SETTLED_LATER = 202

# 400s of requests that the JSON Schema calls valid: fields that depend on each other, what metadata holds, cursors.
BEYOND_THE_SCHEMA = (
    "Is before startDate.",
    "Must be a month such as 2026-10.",
    "Has not begun.",
    "Required with numberOfInstallments.",
    "More than the loan can be divided into.",
    "Must be at most 8 KiB.",
    "Must not contain NUL characters.",
    "Must not contain integers of more than 64 bits.",
    "Must not be nested more than 32 levels deep.",
    "Not a cursor of this list: begin again without one.",
    "This cursor belongs to another list or other filters.",
    "Null characters are not allowed.",
    "This field may not be blank.",
    "Only version 2 covers it.",
    "Goes with version 2 only.",
    "Must be within the last 90 days and not in the future.",
    "Give since or after: one of the two.",
    "Not a cursor of this feed: begin again without one.",
    "Is not a message of EIP-4361.",
    "Must be 1 to 200 printable characters.",
    "Must be an e-mail address.",
    "Is a partner's own word: give partnerId too.",
    "2 keys are live; revoke one first.",
    "It was checked already: add the document again.",
    *(f"Must be {least} to {most} printable characters." for least in (0, 1) for most in (300, 100, 40)),
    "Must be 1 to 4000 characters.",
)

addresses = st.binary(min_size=20, max_size=20).map(to_checksum_address)
schemathesis.openapi.format("eip55-address", addresses | addresses.map(str.lower))
schemathesis.openapi.format("usdc-base-units", st.integers(1, MAX_BASE_UNITS).map(str))
schemathesis.openapi.format("token-id", st.integers(1, MAX_UINT256).map(str))
schemathesis.openapi.format("webhook-url", st.integers(0, 2**32).map("https://{}.lender.example/hooks".format))
schemathesis.openapi.format(
    "recent-time",
    st.integers(60, 60**2 * 24 * 80).map(lambda seconds: clock.isoformat(clock.now() - dt.timedelta(seconds=seconds))),
)
schemathesis.openapi.format("ip-network", st.ip_addresses(v=4).map(str))
schemathesis.openapi.format("uint256", st.integers(0, MAX_UINT256).map(str))


@dataclass
class World:
    """Who calls, whose credit lines there are, and what brings everything accepted to its end."""

    make_lender: Callable[[], Any]
    users: Any
    settle: Callable[[], None]
    counts: Counter[str]
    lender: Any = None

    def begin(self) -> None:
        """A partner that has done nothing yet: loan ids and idempotency keys are its own."""
        self.lender = self.make_lender()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.lender.key}"}

    def make_sensible(self, case: Any) -> None:
        """Most valid borrows are for an OAID that exists, of an amount that it has; the others stay as they are."""
        path = case.operation.path
        if not is_valid_by_schema(case) or not isinstance(case.body, dict):
            return
        body = case.body = copy.deepcopy(case.body)  # Hypothesis may hold the one it made
        write_integers_as_such(body)
        if not path.startswith(("/partners/borrow", "/partners/repay")):
            return
        chance = zlib.crc32(body["partnerLoanId"].encode())
        if path == "/partners/repay" and chance % 4:
            body.pop("repaymentTxHash", None)
        if path.startswith("/partners/borrow") and chance % 4:
            user = self.users[chance % len(self.users)]
            amount = str(int(body["borrowAmount"]) % (2 * DOLLAR) + DOLLAR)
            body |= {"oaidTokenId": user.oaid_token_id, "userWallet": user.wallet, "borrowAmount": amount}
            body.pop("userAuthorization", None)

    def after(self, case: Any, response: Any) -> None:
        """Count it, and settle what was accepted."""
        self.counts["examples tried"] += 1
        if response.status_code == SETTLED_LATER and case.operation.path in ("/partners/borrow", "/partners/repay"):
            self.settle()

    def validate(self, case: Any, response: Any) -> None:
        """All of Schemathesis' checks, and ours."""
        checks = [is_refused_for_its_substance]
        case.validate_response(response, headers=self.headers, additional_checks=checks)


def write_integers_as_such(body: dict[str, Any]) -> None:
    """`5.0` is an integer to JSON Schema; to us it is a fraction, and refused."""
    for name, value in body.items():
        if isinstance(value, dict) and name != "metadata":
            write_integers_as_such(value)
        elif isinstance(value, float) and value.is_integer():
            body[name] = int(value)


def is_refused_for_its_substance(ctx: Any, response: Any, case: Any) -> None:
    """A check: what the schema calls valid is never 400 `invalid_request`, but for what no schema can say."""
    if not is_valid_by_schema(case) or response.status_code != 400:
        return
    body = response.json()
    problems = [text for texts in _leaves(body["details"]) for text in texts]
    if body["code"] == "invalid_request" and not all(text in BEYOND_THE_SCHEMA for text in problems):
        raise AssertionError(f"Valid by the schema and refused: {body['details']}")


def _leaves(details: Any) -> list[list[str]]:
    found: list[list[str]] = []
    for value in details.values():
        found += _leaves(value) if isinstance(value, dict) else [value]
    return found


def is_valid_by_schema(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def strictly(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as its answers are held to: no field that it does not tell of. Clients are told to expect more."""
    for name, component in schema["components"]["schemas"].items():
        if name != "Error" and "properties" in component:
            component.setdefault("additionalProperties", False)
    return schema


def load(*, is_covered: bool = True) -> Any:
    """The schema, on the WSGI application of this process.

    `is_covered`: besides what Hypothesis draws, each constraint of the schema is kept to and broken once.
    """
    # Keys and signatures are the permission matrix's; here calls have a good key, and `ignored_auth` tries without.
    generation = GenerationConfig(max_examples=EXAMPLES, with_security_parameters=False)
    project = ProjectConfig(generation=generation)
    project.phases.coverage.enabled = is_covered
    # What a refusal of substance is we check ourselves, by its code.
    project.checks.positive_data_acceptance.expected_statuses = ["2xx", "400", "401", "403", "404", "409", "422"]
    config = schemathesis.Config(seed=SEED, projects=ProjectsConfig(default=project))
    loaded = schemathesis.openapi.from_dict(strictly(document.make_document()), config=config)
    loaded.app = get_wsgi_application()
    return loaded


SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=False,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
