"""Accounts of staff: who opens, closes and changes them, and who grants."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from authority.acting import Staff, staff_of
from authority.rights import Right
from authority.roles import Role, rights_of
from partner_platform.core.errors import BadRequest, Forbidden
from staff.services import accounts
from tests.support.acting import group_of, staff
from tests.support.staff_accounts import PASSWORD, give_password, is_signed_in, staff_user

pytestmark = pytest.mark.django_db

NO_RIGHTS = {"staff": False, "superuser": False, "roles": []}
DATES = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}


@pytest.fixture
def root() -> User:
    return staff_user("root", superuser=True)


@pytest.fixture
def chief() -> User:
    return staff_user("chief", Role.ADMIN)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def entry_of(action: str) -> tuple[str, str, Any, Any]:
    entry = AuditEntry.objects.get(action=action)
    return entry.actor, entry.target, entry.before, entry.after


def test_an_account_is_opened_and_may_do_nothing_yet(chief: User) -> None:
    opened = accounts.open_account(actor=staff_of(chief), username="new", password=PASSWORD, email="n@x.example")
    assert (opened.is_staff, opened.is_superuser, opened.get_all_permissions()) == (False, False, set())
    expected = ("staff:chief", "staff:new", None, {"username": "new", "email": "n@x.example"})
    assert entry_of("staff.account_opened") == expected
    for name in ("new", "\uff4eew"):
        with pytest.raises(BadRequest, match="taken"):
            accounts.open_account(actor=staff_of(chief), username=name, password=None)
    assert User.objects.count() == 2


@pytest.mark.parametrize("name", ["ann\u200b", " ann", "ann\nbob", "ann\x00", "", "a" * 151])
def test_no_account_has_a_name_that_looks_like_another_or_that_no_row_can_hold(chief: User, name: str) -> None:
    staff_user("ann", Role.SUPPORT)
    with pytest.raises(BadRequest) as refused:
        accounts.open_account(actor=staff_of(chief), username=name, password=None)
    assert "username" in refused.value.details
    assert sorted(User.objects.values_list("username", flat=True)) == ["ann", "chief"]


def test_a_closed_account_signs_in_no_more_and_is_opened_again(chief: User) -> None:
    staff_user("ann", Role.SUPPORT)
    browser, ann = Client(), User.objects.get(username="ann")
    give_password(browser)
    accounts.close_account(actor=staff_of(chief), user=ann)
    accounts.close_account(actor=staff_of(chief), user=ann)
    assert not is_signed_in(browser)
    assert give_password(browser).status_code == 200
    assert entry_of("staff.account_closed") == ("staff:chief", "staff:ann", {"active": True}, {"active": False})
    accounts.reopen_account(actor=staff_of(chief), user=ann)
    assert give_password(browser).status_code == 302


Act = Callable[[Staff, User], object]
ACTS: dict[str, Act] = {
    "open": lambda actor, user: accounts.open_account(actor=actor, username="other", password=None),
    "close": lambda actor, user: accounts.close_account(actor=actor, user=user),
    "reopen": lambda actor, user: accounts.reopen_account(actor=actor, user=user),
    "details": lambda actor, user: accounts.change_details(actor=actor, user=user, details={"email": "x@x.example"}),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_accounts_are_managed_by_who_has_the_right_and_by_nobody_else(act: Act) -> None:
    ann = staff_user("ann", Role.SUPPORT)
    before = list(User.objects.values())
    with pytest.raises(Forbidden):
        act(staff("eve", set(Right) - {Right.MANAGE_STAFF}), ann)
    assert list(User.objects.values()) == before
    assert AuditEntry.objects.count() == 0


def test_nobody_closes_their_own_account_or_a_superusers(root: User, chief: User) -> None:
    for actor, user in [(chief, chief), (root, root), (chief, root), (staff_user("other", superuser=True), root)]:
        with pytest.raises(Forbidden):
            accounts.close_account(actor=staff_of(actor), user=user)
    stale = User.objects.get(username="chief")
    User.objects.filter(pk=chief.pk).update(is_superuser=True)  # since it was read
    with pytest.raises(Forbidden):
        accounts.close_account(actor=staff_of(root), user=stale)
    assert User.objects.filter(is_active=False).count() == 0


def grant(actor: User, user: User, *roles: Role, superuser: bool = False) -> None:
    accounts.change_rights(actor=staff_of(actor), user=user, is_staff=True, is_superuser=superuser, roles=roles)


def test_a_superuser_grants_and_takes_away(root: User) -> None:
    ann = User.objects.create_user("ann")
    grant(root, ann, Role.SUPPORT, Role.VIEWER)
    ann = User.objects.get(pk=ann.pk)
    assert staff_of(ann).rights == rights_of([Role.SUPPORT])
    granted = {"staff": True, "superuser": False, "roles": ["support", "viewer"]}
    assert entry_of("staff.rights_changed") == ("staff:root", "staff:ann", NO_RIGHTS, granted)
    grant(root, ann, Role.VIEWER, Role.SUPPORT)  # as it is
    assert AuditEntry.objects.count() == 1
    browser = signed_in(ann)
    accounts.change_rights(actor=staff_of(root), user=ann, is_staff=False, is_superuser=False, roles=[])
    assert staff_of(User.objects.get(pk=ann.pk)).rights == frozenset()
    User.objects.filter(pk=ann.pk).update(is_staff=True)
    assert not is_signed_in(browser)


def test_nobody_but_a_superuser_grants_and_nobody_grants_themselves(root: User, chief: User) -> None:
    ann = staff_user("ann", Role.VIEWER)
    former = staff_of(root)
    for actor, user in [(chief, ann), (chief, chief), (root, root), (ann, ann)]:
        with pytest.raises(Forbidden):
            grant(actor, user, Role.ADMIN, superuser=True)
    User.objects.filter(pk=root.pk).update(is_superuser=False)
    with pytest.raises(Forbidden):
        accounts.change_rights(actor=former, user=ann, is_staff=True, is_superuser=True, roles=[])
    with pytest.raises(TypeError):
        accounts.change_rights(actor="staff:root", user=ann, is_staff=True, is_superuser=True, roles=[])
    assert list(User.objects.filter(is_superuser=True)) == []
    assert [group.name for group in ann.groups.all()] == ["viewer"]


def test_a_password_of_somebody_is_set_by_superusers_only(root: User, chief: User) -> None:
    ann = staff_user("ann")
    with pytest.raises(Forbidden):
        accounts.set_password(actor=staff_of(chief), user=ann, password="another long password")
    with pytest.raises(Forbidden):
        accounts.change_own_password(actor=staff_of(root), user=ann, password="another long password", keep=None)
    assert User.objects.get(pk=ann.pk).check_password(PASSWORD)
    accounts.set_password(actor=staff_of(root), user=ann, password=None)
    assert not User.objects.get(pk=ann.pk).has_usable_password()
    assert entry_of("staff.password_changed") == ("staff:root", "staff:ann", None, {"usable": False})


# --- The console -----------------------------------------------------------------------------------------------------


def form_of(user: User, **more: Any) -> dict[str, Any]:
    return {"first_name": user.first_name, "last_name": user.last_name, "email": user.email, **DATES, **more}


GRANTS = {"is_superuser": "on", "is_staff": "on", "is_active": "on", "username": "eve", "password": "x"}


def test_who_manages_staff_corrects_details_and_grants_nothing_not_even_to_himself(root: User, chief: User) -> None:
    client, left = signed_in(chief), User.objects.create(username="left", is_active=False)
    roles = {"groups": [str(group_of(Role.OPERATOR).pk)]}
    for user in (chief, left):
        path = reverse("admin:auth_user_change", args=[user.pk])
        assert "id_is_superuser" not in client.get(path).content.decode()
        before = User.objects.filter(pk=user.pk).values().get()
        assert client.post(path, form_of(user, **GRANTS, **roles, first_name="Eve")).status_code == 302
        assert User.objects.filter(pk=user.pk).values().get() == {**before, "first_name": "Eve"}
    assert [group.name for group in chief.groups.all()] == ["admin"]
    assert left.groups.count() == 0
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"staff.details_changed"}
    path = reverse("admin:auth_user_change", args=[root.pk])
    assert client.get(path).status_code == 200
    assert client.post(path, form_of(root, email="eve@x.example")).status_code == 403
    assert User.objects.get(pk=root.pk).email == "root@platform.example"


def test_a_superuser_grants_in_the_console_but_nothing_to_himself(root: User) -> None:
    client, ann = signed_in(root), staff_user("ann")
    path = reverse("admin:auth_user_change", args=[ann.pk])
    roles = {"groups": [str(group_of(Role.OPERATOR).pk)]}
    assert client.post(path, form_of(ann, is_staff="on", **roles)).status_code == 302
    assert [group.name for group in ann.groups.all()] == ["operator"]
    own = reverse("admin:auth_user_change", args=[root.pk])
    assert client.post(own, form_of(root, **roles)).status_code == 302
    root = User.objects.get(pk=root.pk)
    assert (root.is_superuser, root.is_staff, root.groups.count()) == (True, True, 0)


def test_a_group_that_is_no_role_cannot_be_given(root: User) -> None:
    client, ann = signed_in(root), staff_user("ann")
    path = reverse("admin:auth_user_change", args=[ann.pk])
    page = client.post(path, form_of(ann, is_staff="on", groups=[str(group_of("cleaners").pk)]))
    assert (page.status_code, ann.groups.count()) == (200, 0)


def test_an_account_is_opened_in_the_console(chief: User) -> None:
    client = signed_in(chief)
    form = {"username": "new", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD, **GRANTS}
    answer = client.post(reverse("admin:auth_user_add"), {**form, "username": "new"})
    created = User.objects.get(username="new")
    assert answer["Location"] == reverse("admin:auth_user_change", args=[created.pk])
    assert (created.is_staff, created.is_superuser, created.check_password(PASSWORD)) == (False, False, True)
    assert entry_of("staff.account_opened")[:2] == ("staff:chief", "staff:new")


def test_actions_on_accounts_say_what_was_refused(root: User, chief: User) -> None:
    client, ann = signed_in(chief), staff_user("ann")
    data = {"action": "close_accounts", "_selected_action": [str(user.pk) for user in (root, chief, ann)], "index": "0"}
    page = client.post(reverse("admin:auth_user_changelist"), data, follow=True).content.decode()
    assert list(User.objects.filter(is_active=False)) == [ann]
    assert "Ann is closed." in page
    assert "Nobody does this to their own account" in page
    assert "another superuser takes that away first" in page


def test_a_superuser_sets_a_password_in_the_console(root: User, chief: User) -> None:
    ann = staff_user("ann")
    path = reverse("admin:auth_user_password_change", args=[ann.pk])
    new = "another long password"
    form = {"password1": new, "password2": new, "usable_password": "true"}
    assert signed_in(chief).post(path, form).status_code == 403
    assert User.objects.get(pk=ann.pk).check_password(PASSWORD)
    client = signed_in(root)
    assert client.get(path).status_code == 200
    assert client.post(path, {**form, "password2": "x"}).status_code == 200
    assert client.post(path, form).status_code == 302
    assert User.objects.get(pk=ann.pk).check_password(new)


def test_nobody_is_deleted(root: User) -> None:
    client, ann = signed_in(root), staff_user("ann")
    assert client.post(reverse("admin:auth_user_delete", args=[ann.pk]), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [str(ann.pk)], "index": "0", "post": "yes"}
    client.post(reverse("admin:auth_user_changelist"), data)
    assert User.objects.filter(pk=ann.pk).exists()


def test_a_role_is_shown_with_its_rights_and_not_changed(root: User) -> None:
    client, group = signed_in(root), group_of(Role.AUDITOR)
    path = reverse("admin:auth_group_change", args=[group.pk])
    page = client.get(path).content.decode()
    assert "review_break_glass" in page
    assert "manage_staff" not in page
    assert client.post(path, {"name": "admin"}).status_code == 403
    assert Group.objects.get(pk=group.pk).name == Role.AUDITOR


def test_the_migration_makes_a_group_of_each_role() -> None:
    from importlib import import_module

    from django.apps import apps

    migration = import_module("staff.migrations.0002_factors_and_sessions")
    Group.objects.all().delete()
    kept = group_of(Role.VIEWER)
    migration.make_groups(apps, None)
    assert set(Group.objects.values_list("name", flat=True)) == set(Role)
    assert Group.objects.get(name=Role.VIEWER) == kept
