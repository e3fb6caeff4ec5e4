"""The permission matrix of the staff API: every endpoint, asked by each role, by strangers, and by who has no role.

Each cell of `permission_table.TABLE` is a request through the whole stack. Who misses a right is told which, leaves an
entry in the audit trail, and changes nothing else; who has them is answered.
"""

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model

from audit.models import AuditEntry
from authority.models import Approval
from authority.rights import Right
from authority.roles import RIGHTS, Role
from loans.models import PartnerLoan, UserWallet
from partner_platform.core import clock
from partners.models import ApiKey, BorrowingPause, IdempotencyKey, Partner, PartnerStatus
from partners.onboarding.models import Onboarding, OnboardingContact, OnboardingDocument, OnboardingNote
from tests.api.endpoints import endpoints
from tests.factories import ApiKeyFactory, LoanFactory, PartnerFactory, open_lender
from tests.staff.permission_table import FRESH_ADDRESS, OTHERS, STRANGERS, TABLE, Answer, Row
from tests.staff.things import things_of
from tests.support.staff_api import StaffApi, make_user, token_of
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db

HAVE: dict[str, frozenset[Right]] = {
    **{str(role): rights for role, rights in RIGHTS.items()},
    "no role": frozenset(),
    "superuser": frozenset(Right),
}
CALLERS = (*Role, *OTHERS, *STRANGERS)
READS = ("GET", "HEAD")
ASKED_BY = {"HEAD": ("admin", "no role", "nobody")}  # Django answers it as the GET, without the body
FREE = PartnerFactory.build_batch(40)  # never saved: their settlement addresses are nobody's


class World:
    """A partner with a key and a loan, and everybody who calls."""

    def __init__(self) -> None:
        self.free = [row.settlement_address for row in FREE]
        self.partner, key = open_lender(self.free.pop(), webhook_url="https://lender.example/hooks")
        self.key = ApiKeyFactory.create(partner=self.partner)
        self.loan = LoanFactory.create(partner=self.partner, status="ACTIVE")
        closed = make_user("admin", username="closed")
        self.tokens = {
            **{str(role): token_of(make_user(role, username=str(role))) for role in Role},
            "no role": token_of(make_user(username="no role")),
            "superuser": token_of(make_user(username="superuser", is_superuser=True)),
            "nobody": "",
            "a partner's key": key,
            "a closed account": token_of(closed),
            "a user who is not staff": token_of(make_user("admin", username="not staff", is_staff=False)),
            "a forged token": token_of(make_user("admin", username="forger"))[:-4] + "AAAA",
        }
        User.objects.filter(pk=closed.pk).update(is_active=False)

    def ask(self, row: Row, method: str, caller: str) -> Any:
        """The row's request, from the state in which it can be done; the answer, and what was there before."""
        if method not in READS:
            ApiKey.objects.filter(partner=self.partner).exclude(pk=self.key.pk).update(revoked_at=clock.now())
            ApiKey.objects.filter(pk=self.key.pk).update(revoked_at=None)
            PartnerLoan.objects.filter(pk=self.loan.pk).update(status=row.loan, default_reason="")
        named = {
            "<partner_id>": self.partner.partner_id,
            "<internal_loan_id>": self.loan.internal_loan_id,
            "<key_id>": self.key.pk,
            **({f"<{name}>": value for name, value in things_of(self.partner).items()} if row.uses_things else {}),
        }
        path = row.path
        for name, value in named.items():
            path = path.replace(name, str(value))
        assert "<" not in path, f"{path}: what is this parameter, for example?"
        body = row.body and {name: self.free.pop() if v == FRESH_ADDRESS else v for name, v in row.body.items()}
        self.before, self.path = {} if method in READS else state(), path
        return StaffApi(self.tokens[caller])(method, path + row.query, body)


def state() -> dict[str, Any]:
    """All that a call could change, but for entries of refusals."""
    models: tuple[type[Model], ...] = (Partner, ApiKey, PartnerLoan, IdempotencyKey, Endpoint, Approval, UserWallet)
    models += (BorrowingPause, Onboarding, OnboardingDocument, OnboardingContact, OnboardingNote)
    rows: dict[str, Any] = {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}
    return {**rows, "trail": AuditEntry.objects.exclude(action="staff.refused").count()}


def refusals() -> list[tuple[str, Any]]:
    """Who was refused, and what the trail says about it."""
    entries = AuditEntry.objects.filter(action="staff.refused").order_by("timestamp")
    return list(entries.values_list("actor", "after"))


def expected(row: Row, caller: str) -> tuple[Answer, Right | None]:
    """Status and code, and which right is missing."""
    if caller in STRANGERS:
        return STRANGERS[caller], None
    missing = next((right for right in row.rights if right not in HAVE[caller]), None)
    return ((row.status, ""), None) if missing is None else ((403, "right_missing"), missing)


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_each_caller_is_answered_as_the_table_says(row: Row, api_counts: Counter[str]) -> None:
    world, wrong = World(), []
    for method in row.methods.split():
        for caller in ASKED_BY.get(method, CALLERS):
            told_before = refusals()
            answer = world.ask(row, method, caller)
            (status, code), missing = expected(row, caller)
            told = {} if method == "HEAD" or status < 400 else answer.json()
            entries = refusals()[len(told_before) :]
            found = (answer.status_code, told.get("code", ""), told.get("details", {}).get("right"))
            asked = None if method == "HEAD" else missing
            if found != (status, code if told else "", asked):
                wrong.append(f"{caller} {method}: {found}, not {(status, code, asked)}: {answer.content[:200]!r}")
            if entries != _entries(world, method, caller, missing):
                wrong.append(f"{caller} {method}: the trail has {entries}")
            if status >= 400 and method not in READS and state() != world.before:
                wrong.append(f"{caller} {method}: it changed something")
            api_counts["permission cells"] += 1
    assert wrong == []


def _entries(world: World, method: str, caller: str, missing: Right | None) -> list[tuple[str, dict[str, Any]]]:
    if missing is None:
        return []
    return [(f"staff:{caller}", {"method": method, "path": world.path, "right": str(missing)})]


def test_every_endpoint_has_its_row_and_every_row_its_endpoint() -> None:
    rows = {(method, row.path) for row in TABLE for method in row.methods.split()}
    served = {(method, path) for method, path in endpoints() if path.startswith("/admin/")}
    assert not served - rows, f"add to tests/staff/permission_table.py: {sorted(served - rows)}"
    assert not rows - served, f"take out of tests/staff/permission_table.py: {sorted(rows - served)}"


def test_a_change_of_several_terms_needs_the_right_of_each_and_is_done_whole_or_not_at_all() -> None:
    partner, _ = open_lender(FREE[0].settlement_address)
    support = StaffApi(token_of(make_user("support")))
    both = {"partnerName": "Other Name", "tier": "PREMIUM"}
    answer = support("PATCH", f"/admin/partners/{partner.partner_id}", both)
    assert (answer.status_code, answer.json()["details"]) == (403, {"right": "staff.change_limits"})
    partner.refresh_from_db()
    assert (partner.partner_name, partner.tier, partner.status) == ("Lender 0", "BASIC", PartnerStatus.ACTIVE)


def test_a_right_that_is_taken_away_is_gone_with_the_next_call() -> None:
    user = make_user("viewer")
    api = StaffApi(token_of(user))
    assert api.get("/admin/partners").status_code == 200
    user.groups.clear()
    assert api.get("/admin/partners").status_code == 403
    user.is_active = False
    user.save()
    assert api.get("/admin/partners").status_code == 401
