"""What a signed-in member of staff is refused leaves an entry in the audit trail; nobody else's refusal does."""

from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from partners.keys import generate
from staff.access import refused
from tests.factories import ApiKeyFactory
from tests.staff.world import StaffWorld
from tests.support.staff_api import StaffApi, as_role, make_user, token_of

pytestmark = pytest.mark.django_db


def entries() -> list[tuple[str, Any]]:
    found = AuditEntry.objects.filter(action="staff.refused").order_by("timestamp")
    return list(found.values_list("actor", "after"))


def test_a_refused_call_is_recorded_with_who_what_and_the_missing_right(world: StaffWorld) -> None:
    path = f"/admin/partners/{world.partner.partner_id}/suspend"
    user = make_user("auditor", username="eve")
    client = Client()
    answer = StaffApi(token_of(user)).post(f"{path}?x=secret")
    assert answer.status_code == 403
    entry = AuditEntry.objects.get(action="staff.refused")
    assert (entry.actor, entry.target) == ("staff:eve", "staff:eve")
    assert entry.after == {"method": "POST", "path": path, "right": "staff.suspend_partners"}
    assert entry.request_id == answer["X-Request-Id"]
    client.force_login(user)
    assert client.get("/console/partners/partner/add/").status_code == 403
    assert entries()[1:] == [("staff:eve", {"method": "GET", "path": "/console/partners/partner/add/", "right": None})]


def test_who_is_not_signed_in_or_not_staff_leaves_no_entry(world: StaffWorld) -> None:
    assert StaffApi("").get("/admin/partners").status_code == 401
    client = Client(enforce_csrf_checks=True)
    assert client.post("/console/login/", {"username": "ann"}).status_code == 403
    client.force_login(make_user(username="bob", is_staff=False))
    assert client.post("/console/login/", {"username": "ann"}).status_code == 403
    assert entries() == []


def test_an_entry_that_cannot_be_written_changes_no_answer(world: StaffWorld, monkeypatch: Any, caplog: Any) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no trail today")

    monkeypatch.setattr(refused, "record_change", fail)
    answer = as_role("viewer").post(f"/admin/partners/{world.partner.partner_id}/suspend")
    assert (answer.status_code, answer.json()["code"]) == (403, "right_missing")
    assert entries() == []
    assert "could not record" in caplog.text


def test_a_partners_refusal_and_an_answer_leave_no_entry(world: StaffWorld) -> None:
    assert world.api.get("/admin/partners").status_code == 200
    world.api.post(f"/admin/partners/{world.partner.partner_id}/suspend")
    assert world.api.post("/partners/borrow", {}).status_code == 401
    key = generate("test", "sandbox").key
    ApiKeyFactory.create(partner=world.partner, key=key)
    assert StaffApi(key).get("/partners/my/stats").status_code == 403
    assert entries() == []
