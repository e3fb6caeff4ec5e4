"""`manage.py create_staff`: the first two admins, then whom the actor may open an account for."""

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from audit.models import AuditEntry
from tests.support.commands import person

pytestmark = pytest.mark.django_db


def create(username: str, *options: str, as_user: str | None = None) -> dict[str, object]:
    out = io.StringIO()
    email = f"--email={username}@platform.example"
    call_command("create_staff", username, email, "--json", *options, as_user=as_user, stdout=out)
    told: dict[str, object] = json.loads(out.getvalue())
    return told


def rights_of(username: str) -> tuple[bool, bool, list[str]]:
    user = User.objects.get(username=username)
    return user.is_staff, user.is_superuser, sorted(user.groups.values_list("name", flat=True))


def test_the_first_two_are_admins_and_the_third_needs_somebody() -> None:
    for name in ("ann", "bob"):
        told = create(name)
        assert (told["username"], told["roles"], told["waiting"]) == (name, ["admin"], None)
        assert rights_of(name) == (True, True, ["admin"])
        assert User.objects.get(username=name).check_password(str(told["password"]))
    with pytest.raises(CommandError, match="Say who acts: --as USER"):
        create("eve")
    assert not User.objects.filter(username="eve").exists()
    assert {entry.actor for entry in AuditEntry.objects.all()} == {"system:create_staff"}
    assert [User.objects.get(username="ann").email] == ["ann@platform.example"]


def test_a_first_admin_who_gets_no_rights_gets_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(**what: object) -> None:
        raise RuntimeError("the process ends")

    with monkeypatch.context() as broken:
        broken.setattr("staff.services.first_admins.change_rights", stop)
        with pytest.raises(RuntimeError):
            create("ann")
    assert not User.objects.exists()
    create("ann"), create("bob")
    assert [rights_of(name) for name in ("ann", "bob")] == [(True, True, ["admin"])] * 2


def test_a_closed_account_makes_no_room_for_another_first_admin() -> None:
    create("ann"), create("bob")
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="Say who acts: --as USER"):
        create("eve")


def test_a_superuser_gives_roles_and_the_password_is_shown_once() -> None:
    create("ann"), create("bob")
    out = io.StringIO()
    options = ["--email=eve@platform.example", "--role=support", "--role=credit"]
    call_command("create_staff", "eve", *options, as_user="ann", stdout=out)
    account, password, warning = out.getvalue().splitlines()
    assert (account, warning) == ("Account: eve (support, credit)", "It will not be shown again!")
    assert User.objects.get(username="eve").check_password(password.removeprefix("Password: "))
    assert rights_of("eve") == (True, False, ["credit", "support"])
    entries = AuditEntry.objects.filter(actor="staff:ann").order_by("timestamp", "id")
    assert list(entries.values_list("action", flat=True)) == ["staff.account_opened", "staff.rights_changed"]
    assert password.removeprefix("Password: ") not in json.dumps([entry.after for entry in entries])


def test_who_manages_staff_gives_no_roles_and_opens_nothing_by_trying() -> None:
    person("root"), person("adam", "admin")
    with pytest.raises(CommandError, match=r"^create_staff was refused: Only superusers grant rights$"):
        create("eve", "--role=admin", as_user="adam")
    assert not User.objects.filter(username="eve").exists()
    assert create("eve", as_user="adam")["roles"] == []
    assert rights_of("eve") == (False, False, [])


def test_a_name_that_is_taken_is_refused() -> None:
    create("ann"), create("bob")
    with pytest.raises(CommandError, match="This name is taken"):
        create("bob", as_user="ann")
