"""Approvals over HTTP: the plan's calls answer 202, a second person decides, secrets are shown once."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from pytest_django.fixtures import Settings
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from authority.models import Approval
from authority.rights import Right
from authority.roles import Role
from partners import keys, services
from partners.idempotency.view import idempotent
from partners.models import ApiKey, IdempotencyKey, Partner
from staff.api.common import StaffViewSet, actor_of
from tests.factories import DOLLAR, ApiKeyFactory, PartnerFactory
from tests.support.approvals import StaffApi, person, the_approval

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.staff.test_approvals_api")]

LIST = "/admin/approvals"


class ChangesViewSet(StaffViewSet):
    """Two calls as the staff API has them: one atomic with its answer, one that makes a secret."""

    required_right = Right.VIEW_PARTNERS

    @action(detail=True, methods=["post"])
    @idempotent(atomic=True)
    def limit(self, request: Request, pk: str) -> Response:
        partner, body = Partner.objects.get(partner_id=pk), dict(request.data)
        services.update_partner(partner=partner, actor=actor_of(request), daily_borrow_limit=body["limit"])
        return Response({"success": True})

    @action(detail=True, methods=["post"])
    def key(self, request: Request, pk: str) -> Response:
        partner = Partner.objects.get(partner_id=pk)
        return Response({"apiKey": services.rotate_api_key(partner=partner, actor=actor_of(request))})


router = SimpleRouter(trailing_slash=False)
router.register("changes", ChangesViewSet, basename="change")
urlpatterns = [path("", include(router.urls)), path("", include("staff.urls"))]


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.APPROVALS = "required"


@pytest.fixture
def ann() -> StaffApi:
    return StaffApi(person("ann"))


@pytest.fixture
def bob() -> StaffApi:
    return StaffApi(person("bob"))


def answer(response: Any) -> tuple[int, Any]:
    return response.status_code, response.json()


def ask_for_limit(api: StaffApi, partner: Partner, **headers: str) -> Any:
    return api.post(f"/changes/{partner.partner_id}/limit", {"limit": str(2_000 * DOLLAR)}, **headers)


def decide(api: StaffApi, row: Approval, what: str = "approve", **headers: str) -> Any:
    return api.post(f"{LIST}/{row.pk}/{what}", {"reason": "seen"}, **headers)


def test_a_change_that_waits_is_answered_202_and_is_not_made(ann: StaffApi) -> None:
    partner = PartnerFactory.create()

    response = ask_for_limit(ann, partner)

    assert answer(response) == (
        202,
        {
            "approvalId": str(the_approval().pk),
            "status": "WAITING",
            "before": {"dailyBorrowLimit": "1000000000"},
            "after": {"dailyBorrowLimit": "2000000000"},
        },
    )
    assert Partner.objects.get().daily_borrow_limit == 1_000 * DOLLAR


def test_the_same_call_with_its_key_is_the_same_proposal_and_is_made_after_nothing(ann: StaffApi) -> None:
    partner = PartnerFactory.create()
    first = ask_for_limit(ann, partner, Idempotency_Key="k-1")
    again = ask_for_limit(ann, partner, Idempotency_Key="k-1")
    assert answer(first) == answer(again)
    assert (Approval.objects.count(), IdempotencyKey.objects.filter(status_code__gt=0).count()) == (1, 0)


def test_an_approval_shows_what_it_is_about_and_who_decided(ann: StaffApi, bob: StaffApi) -> None:
    partner = PartnerFactory.create()
    ask_for_limit(ann, partner)
    row = the_approval()

    status, shown = answer(bob.get(f"{LIST}/{row.pk}"))
    assert status == 200
    assert (shown["kind"], shown["title"], shown["target"]) == (
        "partner.terms",
        "Change a partner's terms",
        f"partner:{partner.partner_id}",
    )
    assert (shown["createdBy"], shown["decidedBy"], shown["rights"]) == ("staff:ann", None, ["staff.change_limits"])

    status, done = answer(decide(bob, row))

    assert status == 200
    assert (done["status"], done["decidedBy"], done["decisionReason"], done["result"]) == (
        "APPROVED",
        "staff:bob",
        "seen",
        {},
    )
    assert Partner.objects.get().daily_borrow_limit == 2_000 * DOLLAR


def test_the_key_that_an_approval_makes_is_shown_once_and_by_its_idempotency_key_again(
    ann: StaffApi, bob: StaffApi
) -> None:
    old = ApiKeyFactory.create()
    assert ann.post(f"/changes/{old.partner.partner_id}/key").status_code == 202
    row = the_approval()

    first = decide(bob, row, Idempotency_Key="k-1")
    again = decide(bob, row, Idempotency_Key="k-1")
    without = decide(bob, row)

    key = first.json()["result"]["apiKey"]
    assert ApiKey.objects.filter(key_hash=keys.hash_key(key)).count() == 1
    assert (again.status_code, again.json()["result"]["apiKey"]) == (200, key)
    assert (without.status_code, without.json()["code"]) == (409, "approval_closed")
    assert key not in json.dumps(bob.get(f"{LIST}/{row.pk}").json())
    assert ApiKey.objects.count() == 2


def test_refusals_are_those_of_the_catalogue(ann: StaffApi, bob: StaffApi) -> None:
    partner = PartnerFactory.create()
    ask_for_limit(ann, partner)
    row = the_approval()
    viewer = StaffApi(person("vic", Role.VIEWER))

    assert decide(ann, row).json()["code"] == "self_approval"
    assert decide(viewer, row).json()["code"] == "right_missing"
    assert bob.post(f"{LIST}/{row.pk}/approve", {}).json()["code"] == "invalid_request"
    assert bob.post(f"{LIST}/nonsense/approve", {"reason": "x"}).json()["code"] == "approval_not_found"
    services.update_partner(partner=partner, actor="system", daily_borrow_limit=str(DOLLAR))
    refused = decide(bob, row, Idempotency_Key="k-2")
    assert (refused.status_code, refused.json()["code"]) == (409, "approval_outdated")
    row.refresh_from_db()
    assert (row.status, Partner.objects.get().daily_borrow_limit) == ("OUTDATED", DOLLAR)


def test_a_rejection_is_answered_and_kept(ann: StaffApi, bob: StaffApi) -> None:
    ask_for_limit(ann, PartnerFactory.create())
    first = decide(bob, the_approval(), "reject", Idempotency_Key="k-3")
    again = decide(bob, the_approval(), "reject", Idempotency_Key="k-3")
    assert (first.json()["status"], answer(first)) == ("REJECTED", answer(again))


def test_who_may_not_see_approvals_sees_none() -> None:
    nobody = User.objects.create(username="new", is_staff=True)
    assert StaffApi(nobody).get(LIST).json()["code"] == "right_missing"


def test_the_list_is_filtered_newest_first_and_costs_the_same_however_long(ann: StaffApi, bob: StaffApi) -> None:
    rows = []
    for _ in range(3):
        partner = PartnerFactory.create()
        ask_for_limit(ann, partner)
        rows.append(str(Approval.objects.get(target=f"partner:{partner.partner_id}").pk))
    decide(bob, Approval.objects.get(pk=rows[0]), "reject")

    def listed(**query: str) -> tuple[int, list[str]]:
        page = bob.get(LIST, **query).json()
        return page["total"], [row["approvalId"] for row in page["approvals"]]

    with CaptureQueriesContext(connection) as short:
        assert listed(limit="1") == (3, [rows[2]])
    with CaptureQueriesContext(connection) as long:
        assert listed() == (3, rows[::-1])
    assert len(short) == len(long)
    assert listed(status="WAITING") == (2, [rows[2], rows[1]])
    assert listed(status="REJECTED", kind="partner.terms") == (1, [rows[0]])
    assert listed(kind="partner.activate") == (0, [])
    assert listed(limit="1", offset="1") == (3, [rows[1]])
    assert bob.get(LIST, kind="nonsense").status_code == 400
    assert bob.get(LIST, status="waiting").status_code == 400
