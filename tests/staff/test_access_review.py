"""The access review: one line for each account, in the console, as CSV and by the command."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from authority.acting import staff_of
from authority.rights import Right
from authority.roles import Role, rights_of
from partner_platform.core import clock
from staff.access_review import COLUMNS, access_review
from staff.models import ConsoleSession, Passkey
from staff.services import accounts
from tests.support.staff_accounts import add_app, staff_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> User:
    """A superuser, an auditor with factors and a session, somebody who left; returns the superuser."""
    root, ann = staff_user("root", superuser=True), staff_user("ann", Role.AUDITOR, Role.VIEWER)
    add_app(ann)
    for number in range(2):
        Passkey.objects.create(user=ann, credential_id=str(number), public_key="", label="x")
    ConsoleSession.objects.create(user=ann)
    ConsoleSession.objects.create(user=ann, ended_at=clock.now())
    User.objects.filter(pk=ann.pk).update(last_login="2026-01-05T10:30:00Z")
    left = accounts.open_account(actor=staff_of(root), username="+left", password=None)
    left.groups.set(ann.groups.all())
    User.objects.filter(pk=left.pk).update(is_active=False, is_staff=True)
    return root


def names(rights: Any) -> str:
    return " ".join(sorted(right.partition(".")[2] for right in rights))


def test_each_account_is_one_line(people: User) -> None:
    left, ann, root = access_review()
    assert (ann.username, ann.active, ann.staff, ann.superuser) == ("ann", True, True, False)
    assert (ann.roles, ann.rights) == ("auditor viewer", names(rights_of([Role.AUDITOR])))
    assert (ann.last_sign_in, ann.open_sessions) == ("2026-01-05T10:30:00Z", 1)
    assert ann.second_factors == "app passkeys:2 recovery_codes:10"
    assert ann.opened_by == ""
    assert (root.superuser, root.rights, root.roles) == (True, names(Right), "")
    assert (left.active, left.roles, left.rights) == (False, "auditor viewer", "")
    assert (left.opened_by, left.second_factors, left.open_sessions) == ("staff:root", "", 0)


def test_it_costs_the_same_number_of_queries_for_more_accounts(people: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            access_review()
        return len(queries)

    few = cost()
    for number in range(5):
        User.objects.create_user(f"user-{number}")
    assert cost() == few


def test_the_command_writes_csv_that_no_spreadsheet_takes_for_a_formula(people: User, tmp_path: Path) -> None:
    out, file = io.StringIO(), tmp_path / "review.csv"
    call_command("access_review", stdout=out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert list(rows[0]) == COLUMNS
    assert [row["username"] for row in rows] == ["'+left", "ann", "root"]
    assert (rows[1]["active"], rows[1]["open_sessions"]) == ("true", "1")
    call_command("access_review", csv=str(file), stdout=io.StringIO())
    assert file.read_bytes().decode() == out.getvalue()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("access_review", csv=str(tmp_path / "missing" / "x.csv"))


def test_it_is_seen_in_the_console_with_the_right_and_without_it_is_not(people: User) -> None:
    paths = [reverse("admin:auth_user_access_review"), reverse("admin:auth_user_access_review_csv")]
    for role in Role:
        client = Client()
        client.force_login(staff_user(f"{role}-person", role))
        expected = 200 if Right.VIEW_STAFF in rights_of([role]) else 403
        assert [client.get(path).status_code for path in paths] == [expected] * 2, role
    client.force_login(people)
    page, file = (client.get(path) for path in paths)
    assert "recovery_codes:10" in page.content.decode()
    assert file["Content-Type"] == "text/csv; charset=utf-8"
    assert "'+left" in file.content.decode()
    assert [Client().get(path).status_code for path in paths] == [302, 302]
