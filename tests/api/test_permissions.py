"""The permission matrix: every endpoint of the URL conf, asked by everybody who may not, and by the one who may.

Each cell of `permission_table.TABLE` is a request through the whole stack, against the real database, Redis and chain.
After each cell nothing may have changed but the log of calls, which must tell of it. After the cells of a row the same
request from the right partner must succeed: a cell that was refused for another reason than its own is noticed.
"""

import datetime as dt
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_redis import get_redis_connection

from audit.models import ApiLog, AuditEntry
from chain.models import FundingTransfer, Operation, TransactionAttempt
from chain.settlement import driver
from events.kinds import EventType
from events.models import Event
from loans.models import OaidCredit, PartnerLoan, Repayment
from loans.services.settle import settle_due
from partner_platform.core import clock
from partners.models import ApiKey, IdempotencyKey, Partner, PartnerDailyUsage
from tests.api.callers import Call, Callers, Identity, open_partner
from tests.api.endpoints import console_pages, endpoints
from tests.api.permission_table import (
    CALLERS,
    CONSOLE_ASKED_BY_EVERYBODY,
    CONSOLE_EXCEPTIONS,
    CONSOLE_LOGIN,
    HIDDEN,
    OPEN,
    OTHER_PARTNER,
    PUBLIC,
    REFUSED,
    SIGNED_IN,
    STAFF_API,
    TABLE,
    Row,
)
from tests.factories import DOLLAR, ApiKeyFactory
from tests.support.chain import Chain
from tests.support.consent import authorization_for
from tests.webhooks.making import delivery_of, endpoint_of, numbered_events
from webhooks.models import Delivery, Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

OLD_LOAN, NEW_LOAN = "old-loan", "new-loan"
# In these the key tells whose call it is, so that the log of calls knows.
KNOWN_BY_KEY = {caller for caller, (_, code) in REFUSED.items() if code not in ("missing_api_key", "wrong_environment")}
KNOWN_BY_KEY -= {"bad key", "staff JWT", "non-admin JWT", "unsigned JWT"}


class World:
    """A partner with a running loan, another partner without one, and everybody who calls."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.user = chain, chain.users[0]
        self.right = open_partner(0, chain.world.partners[0])
        self.other = open_partner(1, chain.world.partners[1])
        staff = User.objects.create_superuser("ann", "ann@platform.example", "a-staff-password")
        non_admin = User.objects.create_user("bob", "bob@platform.example", "a-staff-password")
        self.endpoint = endpoint_of(self.right.partner)
        self.delivery = delivery_of(self.endpoint, numbered_events(self.right.partner, 1)[0], status="DELIVERED")
        self.spare_key = ApiKeyFactory.create(partner=self.right.partner)
        ApiKeyFactory.create_batch(2, partner=self.other.partner)
        self.callers = Callers(self.right, self.other, staff=staff, non_admin=non_admin)
        assert self.callers.right(self.call("POST", "/partners/borrow", "borrow", loan_id=OLD_LOAN)).status_code == 202
        self.settle()
        assert self.callers.right(self.call("POST", "/partners/repay", "repay")).status_code == 202
        self.settle()
        self.loan = PartnerLoan.objects.get(status="ACTIVE")
        self.repayment = Repayment.objects.get(status="SETTLED")
        FundingTransfer.objects.create(
            tx_hash="0x" + "d3" * 32,
            sender=self.right.partner.settlement_address,
            recipient=chain.addresses["executor"],
            value=DOLLAR,
            block_number=10**9,  # beyond what the watcher has read
            block_hash="0x" + "c3" * 32,
        )

    def settle(self) -> None:
        """Everything that is accepted, to its end."""
        driver.drive_once()
        self.chain.mine()
        driver.drive_once()
        settle_due()

    def call(self, method: str, path: str, scope: str, *, loan_id: str = NEW_LOAN) -> Call:
        """A good request to an endpoint, by the pattern of its path."""
        for name, value in {
            "<partner_loan_id>": OLD_LOAN,
            "<repayment_id>": self.repayment.pk if path.startswith("/partners/repayments/") else "",
            "<endpoint_id>": self.endpoint.pk,
            "<delivery_id>": self.delivery.pk,
            "<key_id>": self.spare_key.pk,
            "<month>": clock.today().strftime("%Y-%m"),
            "<user_wallet>": self.user.wallet,
            "<oaid_token_id>": self.user.oaid_token_id,
            "<position_id>": self.user.position_id,
        }.items():
            path = path.replace(name, str(value))
        assert "<" not in path, f"{path}: what is this parameter, for example?"
        return Call(method, path, self._body(method, path, loan_id), scope)

    def _body(self, method: str, path: str, loan_id: str) -> bytes:
        if path.startswith("/partners/my/"):
            return self._body_of_settings(method, path.rsplit("/", 1)[1])
        if method != "POST":
            return b""
        if path == "/partners/repay":
            return json.dumps({"partnerLoanId": OLD_LOAN, "repaymentAmount": str(5 * DOLLAR)}).encode()
        user = self.chain.users[0 if loan_id == OLD_LOAN else 1]
        body: dict[str, Any] = {
            "oaidTokenId": user.oaid_token_id,
            "userWallet": user.wallet,
            "borrowAmount": str(100 * DOLLAR),
            "partnerLoanId": loan_id,
        }
        if path in ("/partners/borrow", "/partners/borrow/preview"):
            body["userAuthorization"] = authorization_for(self.right.partner, body, user.private_key)
        return json.dumps(body).encode()

    def _body_of_settings(self, method: str, act: str) -> bytes:
        since = clock.isoformat(clock.now() - dt.timedelta(hours=1))
        bodies: dict[tuple[str, str], dict[str, Any]] = {
            ("POST", "webhooks"): {"url": "https://lender.example/another"},
            ("PATCH", str(self.endpoint.pk)): {"description": "Changed"},
            ("POST", "resend"): {"since": since},
            ("POST", "rotate"): {"gracePeriodHours": 24},
        }
        body = bodies.get((method, act))
        return b"" if body is None else json.dumps(body).encode()

    def is_told(self, text: str) -> bool:
        """Whether an answer tells anything of the right partner's."""
        partner, repayment_id = self.right.partner, str(self.repayment.pk)
        settings = (str(self.endpoint.pk), str(self.delivery.pk), str(self.spare_key.pk))
        secrets = (partner.partner_id, partner.partner_name, str(self.loan.internal_loan_id), repayment_id, *settings)
        return any(secret in text for secret in (*secrets, OLD_LOAN, self.loan.borrow_tx_hash))


# Suspending the partner for its cell, and signing in for a token, are the test's own doing.
OWN_DOING = ["partner.suspended", "partner.activated", "staff.signed_in", "staff.signed_out"]


def state() -> dict[str, Any]:
    """All that a call could change: rows, reservations, running sums, what was queued. Not `last_used_at`."""
    partner_sums = ("pk", "current_outstanding", "total_borrowed", "total_repaid", "active_loans", "repaid_loans")
    return {
        "loans": sorted(PartnerLoan.objects.values_list("pk", "status", "updated_at", "repayment_in_flight")),
        "repayments": Repayment.objects.count(),
        "operations": sorted(Operation.objects.values_list("pk", "state")),
        "attempts": TransactionAttempt.objects.count(),
        "transfers": FundingTransfer.objects.count(),
        "reserved": sorted(OaidCredit.objects.values_list("oaid_token_id", "reserved")),
        "daily": sorted(PartnerDailyUsage.objects.values_list("partner_id", "day", "borrowed")),
        "partners": sorted(Partner.objects.values_list(*partner_sums)),
        "endpoints": sorted(Endpoint.objects.values_list("pk", "url", "status", "secret", "description", "deleted_at")),
        "deliveries": sorted(Delivery.objects.values_list("pk", "status", "due_at")),
        "keys": sorted(map(str, ApiKey.objects.values_list("pk", "revoked_at", "expires_at"))),
        "signing secrets": sorted(Partner.objects.values_list("signing_secret", flat=True)),
        "idempotency keys": IdempotencyKey.objects.count(),
        # Suspending the partner for its cell is the test's own doing.
        "events": Event.objects.exclude(type=EventType.PARTNER_SUSPENDED).count(),
        "audit entries": AuditEntry.objects.exclude(action__in=OWN_DOING).count(),
        "queued": get_redis_connection("default").llen("celery"),
    }


def changes(before: dict[str, Any]) -> list[str]:
    """What is no longer as it was."""
    after = state()
    return [f"{name}: {before[name]} is {value}" for name, value in after.items() if value != before[name]]


def test_every_endpoint_answers_everybody_as_the_table_says(
    chain: Chain, settings: Any, api_counts: Counter[str]
) -> None:
    settings.BORROW_CONSENT = "required"
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "PUBLIC": 1_000}  # the matrix asks from one address
    settings.METRICS_NETWORKS = []  # as in production; the sandbox lets its own machine read them
    world = World(chain)
    wrong = []
    for row in TABLE:
        for method in row.methods.split():
            call = world.call(method, row.path, row.kind)
            before = state()
            for caller in CALLERS:
                wrong += [f"{method} {row.path} as {caller}: {what}" for what in cell(world, row, call, caller)]
                changed = changes(before)
                if row.changes_its_own and caller == OTHER_PARTNER:
                    before, changed = state(), []
                wrong += [f"{method} {row.path} as {caller}: changed {what}" for what in changed]
                api_counts["permission cells"] += 1
            answer = world.callers.right(call)
            api_counts["permission cells"] += 1
            if answer.status_code != row.right:
                wrong.append(f"{method} {row.path} as the right partner: {answer.status_code} {answer.content[:300]}")
            if answer.status_code == 200 and row.other_partner == (200, "") and method == "GET":
                other = world.callers.answers[OTHER_PARTNER](call)
                assert other.content != answer.content, f"{call.path}: what is its own, is the other's as well"

    assert not wrong, "\n".join(wrong)
    assert Counter(PartnerLoan.objects.values_list("partner_loan_id", flat=True)) == {OLD_LOAN: 1, NEW_LOAN: 1}
    assert Repayment.objects.count() == 2  # the world's and the control's, and nobody else's


def cell(world: World, row: Row, call: Call, caller: str) -> list[str]:
    """Ask as `caller`; what is not as the table says."""
    sent, logged = len(world.callers.ids), ApiLog.objects.count()
    answer = world.callers.answers[caller](call)
    ids = world.callers.ids[sent:]
    expected = row.expected(caller)
    text = b"" if call.method == "HEAD" else answer.content
    problems = [*_wrong_answer(call, expected, answer, text.decode()), *_wrong_log(world, row, caller, ids, logged)]
    if row.kind not in (PUBLIC, OPEN) and world.is_told(text.decode()):
        problems.append(f"tells what is the right partner's: {text.decode()}")
    return problems


def _wrong_answer(call: Call, expected: tuple[int, str], answer: Any, text: str) -> list[str]:
    status, code = expected
    if answer.status_code != status:
        return [f"{answer.status_code}, not {status} {code}: {text[:300]}"]
    problems = []
    if code and text:
        envelope = json.loads(text)
        said = (envelope["success"], envelope["statusCode"], envelope["code"], envelope["requestId"])
        if said != (False, status, code, answer["X-Request-Id"]):
            problems.append(f"{said}, not {code}")
    if status == 401 and answer.headers.get("WWW-Authenticate") != "Bearer":
        problems.append("no WWW-Authenticate")
    return problems


def _wrong_log(world: World, row: Row, caller: str, ids: list[str], logged_before: int) -> list[str]:
    """Each call to the API is in the log once, with its code, under the name of the partner whose key it was."""
    rows = ApiLog.objects.count() - logged_before
    if row.kind in (OPEN, HIDDEN, SIGNED_IN):
        return [f"{rows} rows in the log"] if rows else []
    if rows != len(ids):
        return [f"{rows} rows in the log, not {len(ids)}"]
    entry = ApiLog.objects.get(client_request_id=ids[-1])
    whose = ""
    if row.kind != PUBLIC:
        identity: Identity | None = world.other if caller == OTHER_PARTNER else world.right
        whose = identity.partner.partner_id if caller in (*KNOWN_BY_KEY, OTHER_PARTNER) else ""
    found = (entry.status_code, entry.error_code, entry.partner_id, entry.success)
    status, code = row.expected(caller)
    return [] if found == (status, code, whose, status < 400) else [f"log: {found}, not {(status, code, whose)}"]


def test_every_endpoint_has_its_row_and_every_row_its_endpoint() -> None:
    rows = [(method, row.path) for row in TABLE for method in row.methods.split()]
    assert len(rows) == len(set(rows))
    ours = {(method, path) for method, path in endpoints() if not path.startswith(STAFF_API)}
    without_row, without_endpoint = ours - set(rows), set(rows) - ours
    assert not without_row, f"add to tests/api/permission_table.py: {sorted(without_row)}"
    assert not without_endpoint, f"take out of tests/api/permission_table.py: {sorted(without_endpoint)}"


def test_an_unknown_path_is_not_found_whoever_asks(chain: Chain) -> None:
    world = World(chain)
    for caller in CALLERS:
        for path in ("/partners/nowhere", "/partners", "/admin/nowhere", "/partners/loan/old-loan/"):
            answer = world.callers.answers[caller](Call("GET", path, b"", "read"))
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (caller, path)


def test_a_method_that_an_endpoint_does_not_answer_is_refused_to_the_right_partner_too(chain: Chain) -> None:
    world = World(chain)
    answered = endpoints()
    before = state()
    for path in {path for _, path in answered if path.startswith("/partners/")}:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            if (method, path) not in answered:
                answer = world.callers.right(world.call(method, path, "read"))
                assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), (method, path)
    assert state() == before


def test_every_page_of_the_console_sends_who_has_no_session_of_staff_to_the_login(
    chain: Chain, api_counts: Counter[str]
) -> None:
    world = World(chain)
    stranger, staff, some_id = _with_session("bob"), _with_session("ann"), str(User.objects.get(username="ann").pk)
    before = state(), ApiLog.objects.count()
    for page in sorted(console_pages()):
        path = _example(page, some_id)
        # No code of the console reads a key or token; one page is asked by everybody.
        callers = CALLERS if page in CONSOLE_ASKED_BY_EVERYBODY else ("no key", "staff JWT")
        call = Call("GET", path, b"", "read")
        answers = {caller: world.callers.answers[caller](call) for caller in callers}
        answers["the right partner"] = world.callers.right(call)
        answers["no key, POST"] = world.callers.answers["no key"](replace(call, method="POST"))
        answers["session of a user who is not staff"] = stranger.get(path)
        wrong = [(who, answer.status_code) for who, answer in answers.items() if not _as_a_stranger(page, answer)]
        assert wrong == [], path
        api_counts["permission cells"] += len(answers)
    assert (state(), ApiLog.objects.count()) == before
    for page in sorted(console_pages()):
        answer = staff.get(_example(page, some_id))
        assert not answer.headers.get("Location", "").startswith("/console/login/"), f"control: staff, {page}"
        # Elsewhere staff may be told that nobody can add this, or that there is no such object.
        assert answer.status_code == 200 or f"{page}add/" not in console_pages(), page
        api_counts["permission cells"] += 1


def test_the_exceptions_among_the_consoles_pages_are_there() -> None:
    assert {*CONSOLE_EXCEPTIONS, *CONSOLE_ASKED_BY_EVERYBODY} <= console_pages()


def _with_session(username: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=username))
    return client


def _as_a_stranger(page: str, answer: Any) -> bool:
    status, where = CONSOLE_EXCEPTIONS.get(page, (302, CONSOLE_LOGIN))
    return answer.status_code == status and answer.headers.get("Location", "").startswith(where)


def _example(page: str, some_id: str) -> str:
    """A path of the page; the id need not be of that page's objects."""
    path = re.sub(r"<(\w+:)?app_label>", "partners", page)
    return re.sub(r"<[\w:]+>", some_id, path)
