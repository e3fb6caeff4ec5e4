"""The staff API's calls that stop: the pause of new borrows, and the block list of wallets."""

from typing import Any

import pytest

from audit.models import AuditEntry
from authority.roles import RIGHTS, Role
from loans.models import UserWallet
from loans.stopping import wallets
from partner_platform.core.ethereum import parse_address
from partners.models import Partner
from tests.factories import PartnerFactory
from tests.support.acting import staff
from tests.support.staff_api import StaffApi, as_role

pytestmark = pytest.mark.django_db

WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
WHY = {"reason": "the pool is upgraded"}
CALLS: list[tuple[str, str, Any, str]] = [
    ("GET", "/admin/platform", None, "staff.view_partners"),
    ("POST", "/admin/platform/pause", WHY, "staff.pause_borrowing"),
    ("POST", "/admin/platform/resume", WHY, "staff.resume_borrowing"),
    ("GET", "/admin/blocked-wallets", None, "staff.view_loans"),
    ("POST", "/admin/blocked-wallets", {"wallet": WALLET, **WHY}, "staff.block_wallets"),
    ("DELETE", f"/admin/blocked-wallets/{WALLET}?reason=why", None, "staff.unblock_wallets"),
]


@pytest.fixture
def admin() -> StaffApi:
    return as_role("admin", username="ann")


@pytest.mark.parametrize(("method", "path", "body", "right"), CALLS)
def test_each_call_is_for_the_roles_that_have_its_right(method: str, path: str, body: Any, right: str) -> None:
    wallets.block_wallet(wallet=WALLET, actor=staff("bob"), reason="before")
    assert StaffApi()(method, path, body).json()["code"] == "missing_token"
    before = AuditEntry.objects.filter(action__in=["borrowing.paused", "wallet.unblocked"]).count()
    for role in Role:
        if right not in RIGHTS[role]:
            answer = as_role(role)(method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "right_missing"), role
            assert answer.json()["details"] == {"right": right}
    assert AuditEntry.objects.filter(action__in=["borrowing.paused", "wallet.unblocked"]).count() == before
    answered = as_role("admin")(method, path, body)
    assert answered.status_code == (201 if path == "/admin/blocked-wallets" and body else 200)


def test_borrowing_is_paused_and_resumed_by_somebody_for_a_reason(admin: StaffApi, settings: Any) -> None:
    settings.WALLET_EXPOSURE_CAP, settings.WALLET_SCREENING = 250_000, "a.service"
    PartnerFactory.create()
    nobody = {"isPaused": False, "since": None, "by": None, "reason": None}
    more = {"walletExposureCap": "250000", "walletScreening": True}
    assert admin.get("/admin/platform").json() == {"borrowing": nobody, **more}
    paused = admin.post("/admin/platform/pause", WHY).json()
    since = paused["borrowing"].pop("since")
    assert since.endswith("Z")
    assert paused == {"borrowing": {"isPaused": True, "by": "staff:ann", **WHY}, **more}
    assert Partner.objects.get().borrowing_paused
    settings.WALLET_EXPOSURE_CAP, settings.WALLET_SCREENING = None, ""
    resumed = admin.post("/admin/platform/resume", {"reason": "done"}).json()
    assert (resumed["borrowing"]["isPaused"], resumed["borrowing"]["reason"]) == (False, "done")
    assert (resumed["walletExposureCap"], resumed["walletScreening"]) == (None, False)
    assert not Partner.objects.get().borrowing_paused


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 301}, {"reason": 5}, {**WHY, "more": 1}])
def test_what_is_wrong_with_a_body_is_named(admin: StaffApi, body: Any) -> None:
    for path in ("/admin/platform/pause", "/admin/platform/resume"):
        answer = admin.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert list(answer.json()["details"]) == (["more"] if "more" in body else ["reason"])
    answer = admin.post("/admin/blocked-wallets", {**body, "wallet": "0x1"})
    assert "wallet" in answer.json()["details"]
    assert not UserWallet.objects.exists()
    assert not AuditEntry.objects.filter(target="platform:borrowing").exists()


def test_wallets_are_blocked_listed_and_taken_off(admin: StaffApi) -> None:
    answer = admin.post("/admin/blocked-wallets", {"wallet": WALLET.lower(), "reason": "on a list"})
    row = answer.json()
    assert answer.status_code == 201
    assert row == {"wallet": WALLET, "blockedAt": row["blockedAt"], "blockedBy": "staff:ann", "reason": "on a list"}
    page = admin.get("/admin/blocked-wallets").json()
    assert page == {"total": 1, "limit": 10, "offset": 0, "hasMore": False, "next": None, "wallets": [row]}
    path = f"/admin/blocked-wallets/{WALLET.lower()}"
    assert list(admin("DELETE", path).json()["details"]) == ["reason"]
    off = admin("DELETE", f"{path}?reason=a+mistake")
    assert (off.status_code, off.json()) == (200, {"success": True, "wallet": WALLET})
    again = admin("DELETE", f"{path}?reason=a+mistake")
    assert (again.status_code, again.json()["code"]) == (404, "wallet_not_blocked")
    assert admin.get("/admin/blocked-wallets").json()["wallets"] == []
    assert admin("DELETE", "/admin/blocked-wallets/0x1?reason=why").json()["details"].keys() == {"wallet"}


def test_the_list_is_read_by_pages_newest_first(admin: StaffApi) -> None:
    addresses = [parse_address(f"0x{number:040x}") for number in range(1, 6)]
    for address in addresses:
        wallets.block_wallet(wallet=address, actor=staff("bob"), reason="why")
    found, path = [], "/admin/blocked-wallets?limit=2"
    while path:
        page = admin.get(path).json()
        found += [row["wallet"] for row in page["wallets"]]
        path = f"/admin/blocked-wallets?limit=2&cursor={page['next']}" if page["next"] else ""
    assert sorted(found) == sorted(addresses)
    assert page["total"] == 5
    assert admin.get("/admin/blocked-wallets?cursor=nonsense").json()["details"].keys() == {"cursor"}
