"""Least privilege in the console: every page and action of the registry, by everybody who misses a right for it.

Each cell is a request through the whole stack. For each right that a row of the table names somebody asks who has all
the rights there are but this one, and is refused; who has the named ones, and no other but to view, is not.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from authority.rights import Right
from loans.models import UserWallet
from partner_platform.core import clock
from partner_platform.core.console.model_admin import ConsoleAdmin
from partner_platform.core.ethereum import parse_address
from partner_platform.core.secrets import crypto
from partners.models import BorrowingPause, PartnerStatus
from partners.selectors import PAUSE_ID
from tests.console.permission_table import (
    ACTIONS,
    NOBODY,
    PAGES,
    PAGES_OF_THEIR_OWN,
    SITE_PAGES,
    SUPERUSER,
    Rights,
)
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.acting import group_of
from tests.support.books_rows import BooksRows
from tests.support.console import new_token

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("groups_of_one_right")]

NO_RIGHT = frozenset[str]()
ROWS = BooksRows()


def label(model: Any) -> str:
    return str(model._meta.label_lower)


class Staff:
    """People with exactly the rights that a cell asks for."""

    def __init__(self) -> None:
        permissions = Permission.objects.select_related("content_type")
        self.permissions = {f"{row.content_type.app_label}.{row.codename}": row for row in permissions}
        self.view = frozenset(name for name in self.permissions if name.split(".")[1].startswith("view_"))
        self.known: dict[Any, Client] = {}

    def having(self, rights: frozenset[str]) -> Client:
        """A browser of a member of staff with these rights; `SUPERUSER`: of a superuser."""
        if rights not in self.known:
            user = User.objects.create(username=f"staff-{len(self.known)}", is_staff=True)
            if rights == SUPERUSER:
                user.is_superuser = True
                user.save()
            else:
                user.user_permissions.set([self.permissions[name] for name in rights if name in self.permissions])
                user.groups.set([group_of(name) for name in rights if name in set(Right)])
            self.known[rights] = Client()
            self.known[rights].force_login(user)
        return self.known[rights]

    def without(self, needed: Rights) -> dict[str, Client]:
        """Everybody who misses something of what is needed."""
        everything = frozenset(self.permissions) | frozenset(Right)
        found = {
            "who is not logged in": Client(),
            "who has no right": self.having(NO_RIGHT),
            "who may view everything": self.having(self.view),
        }
        if needed is NOBODY or needed == SUPERUSER:
            found["who has every right"] = self.having(everything)
        else:
            found |= {f"who has every right but {right}": self.having(everything - {right}) for right in needed}
        if needed is NOBODY:
            found["a superuser"] = self.having(SUPERUSER or NO_RIGHT)
        return found

    def with_just(self, needed: Rights, model: str) -> Client:
        """Who has what is needed, and sees the model's list."""
        assert needed is not None
        app, name = model.split(".")
        return self.having(needed if needed == SUPERUSER else needed | {f"{app}.view_{name}"})


def a_user() -> User:
    return User.objects.create(username=f"target-{User.objects.count()}")


def a_group() -> Group:
    return Group.objects.create(name=f"group-{Group.objects.count()}")


def a_loan(status: str) -> Any:
    return ROWS.loan(ROWS.partner(), ROWS.position(), status=status)


# What an action is run on, and what its form says beside.
TARGETS: dict[str, Callable[[], tuple[Any, dict[str, str]]]] = {
    "delete_selected": lambda: (None, {"post": "yes"}),
    "suspend": lambda: (PartnerFactory.create(), {}),
    "narrow_suspension": lambda: _asked(PartnerFactory.create(status=PartnerStatus.SUSPENDED)),
    "pause_new_borrows": lambda: (_pause(is_paused=False), {"reason": "a drill"}),
    "resume_new_borrows": lambda: (_pause(is_paused=True), {"reason": "a drill"}),
    "unblock": lambda: (_blocked_wallet(), {"reason": "a drill"}),
    "activate": lambda: _asked(PartnerFactory.create(status=PartnerStatus.SUSPENDED)),
    "require_signing": lambda: (PartnerFactory.create(signing_secret=crypto.encrypt("sk")), {}),
    "stop_requiring_signing": lambda: (PartnerFactory.create(signing_required=True), {}),
    "allow_signature_v1": lambda: (PartnerFactory.create(signature_v1_allowed=False), {}),
    "refuse_signature_v1": lambda: (PartnerFactory.create(signature_v1_allowed=True), {}),
    "revoke": lambda: (ApiKeyFactory.create(), {}),
    "default_loans": lambda: (a_loan("ACTIVE"), {"reason": "bankrupt"}),
    "cure_loans": lambda: _asked(a_loan("DEFAULTED")),
}


def _pause(*, is_paused: bool) -> BorrowingPause:
    return BorrowingPause.objects.update_or_create(pk=PAUSE_ID, defaults={"is_paused": is_paused})[0]


def _blocked_wallet() -> UserWallet:
    address = parse_address(f"0x{UserWallet.objects.count():040x}")
    return UserWallet.objects.create(address=address, is_blocked=True, blocked_at=clock.now())


def _asked(row: Any) -> tuple[Any, dict[str, str]]:
    return row, {"confirmed": "yes", f"seen_{row.pk}": "0"}


def target_of(model: str, action: str) -> tuple[Any, dict[str, str]]:
    row, more = TARGETS.get(action, lambda: (PartnerFactory.create(), {}))()
    if row is None:
        row = a_user() if model == "auth.user" else a_group()
    return row, more


def run(client: Client, model: str, action: str) -> bool:
    """Run the action on a row made for it; whether anything was done."""
    row, more = target_of(model, action)
    data = {"action": action, "_selected_action": [str(row.pk)], "index": "0", "form_token": new_token(), **more}
    before = AuditEntry.objects.count(), type(row).objects.count()
    client.post(reverse(f"admin:{model.replace('.', '_')}_changelist"), data)
    return (AuditEntry.objects.count(), type(row).objects.count()) != before


def test_an_action_is_run_by_who_has_the_rights_it_names_and_by_nobody_who_misses_one(
    api_counts: Counter[str],
) -> None:
    staff, wrong = Staff(), []
    for (model, action), needed in ACTIONS.items():
        refused = staff.without(needed)
        may = {"who may": staff.with_just(needed, model), "a superuser": staff.having(SUPERUSER or NO_RIGHT)}
        wrong += [f"{model}: {who} runs {action}" for who, client in refused.items() if run(client, model, action)]
        wrong += [f"{model}: {who} cannot {action}" for who, client in may.items() if not run(client, model, action)]
        api_counts["permission cells"] += len(refused) + len(may)
    assert wrong == []


def rows_of(model: str) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "auth.user": a_user,
        "auth.group": a_group,
        "partners.partner": PartnerFactory.create,
        "partners.apikey": ApiKeyFactory.create,
        "partners.borrowingpause": lambda: _pause(is_paused=False),
        "loans.userwallet": _blocked_wallet,
        "loans.partnerloan": lambda: a_loan("ACTIVE"),
        "loans.solvencyposition": ROWS.position,
    }
    return makers[model]() if model in makers else None


def test_a_page_is_open_to_who_has_the_rights_it_names_and_to_nobody_who_misses_one(
    api_counts: Counter[str],
) -> None:
    staff, wrong = Staff(), []
    for model, pages in PAGES.items():
        row = rows_of(model)
        # Of a model that is only looked at there need be no row: `add` shows it, and the rows' pages are the base's.
        of_row = [("change", pages.change, [row.pk]), ("delete", pages.delete, [row.pk])] if row else []
        for page, needed, arguments in [("add", pages.add, []), *of_row]:
            path = reverse(f"admin:{model.replace('.', '_')}_{page}", args=arguments)
            refused = staff.without(needed)
            wrong += [f"{path}: {who} is let in" for who, client in refused.items() if not is_refused(client, path)]
            if needed is not NOBODY and staff.with_just(needed, model).get(path).status_code != 200:
                wrong.append(f"{path}: who may is refused")
            api_counts["permission cells"] += len(refused) + 1
        assert row is None or type(row).objects.filter(pk=row.pk).exists(), model
    assert wrong == []


def is_refused(client: Client, path: str) -> bool:
    answer = client.post(path, {"post": "yes"})
    return answer.status_code == 403 or answer.headers.get("Location", "").startswith("/console/login/")


def test_a_list_and_its_rows_are_seen_by_who_may_view_them_and_they_are_offered_nothing_else() -> None:
    staff = Staff()
    for model in PAGES:
        row, (app, name) = rows_of(model), model.split(".")
        view, change = f"{app}.view_{name}", f"{app}.change_{name}"
        paths = [reverse(f"admin:{app}_{name}_changelist")]
        if row is not None:
            paths += [reverse(f"admin:{app}_{name}_{page}", args=[row.pk]) for page in ("history", "change")]
        stranger = staff.having(
            frozenset(staff.permissions) - {view, change}
        )  # and no right, which would include views
        seen = [staff.having(frozenset({view})).get(path) for path in paths]
        assert [stranger.get(path).status_code for path in paths] == [403] * len(paths), model
        assert [page.status_code for page in seen] == [200] * len(paths), model
        offered = seen[0].content.decode() + seen[-1].content.decode()
        assert [word for word in ("form_token", "same_name", 'name="action"') if word in offered] == [], model


def test_every_model_and_action_of_the_registry_has_its_row() -> None:
    found = {label(model): model_admin for model, model_admin in admin.site._registry.items()}
    assert set(found) == set(PAGES), "add to tests/console/permission_table.py, or take out of it"
    actions = set()
    for model, model_admin in found.items():
        assert isinstance(model_admin, ConsoleAdmin), f"{model}: make its class of ConsoleAdmin"
        is_look_only = PAGES[model].delete is NOBODY
        base: Any = model_admin
        for function, action, _ in base._get_base_actions() if base.actions is not None else []:
            allowed = getattr(function, "allowed_permissions", None)
            assert allowed, f"{model}: {action} names no permission"
            if not (action == "delete_selected" and is_look_only):  # the site's own, where nobody may delete
                actions.add((model, action))
    assert actions == set(ACTIONS), "add to tests/console/permission_table.py, or take out of it"


def test_every_page_of_the_site_is_in_the_table() -> None:
    of_every_model = {"changelist", "add", "history", "delete", "change"}
    expected = {f"{model.replace('.', '_')}_{page}" for model in PAGES for page in of_every_model}
    found = set()
    for pattern in admin.site.get_urls():
        inner = getattr(pattern, "url_patterns", [pattern])
        found |= {one.name for one in inner if one.name is not None}
    assert found == expected | set(PAGES_OF_THEIR_OWN) | SITE_PAGES


def test_a_password_is_set_by_superusers_only() -> None:
    staff, target = Staff(), a_user()
    path = reverse("admin:auth_user_password_change", args=[target.pk])
    form = {"password1": "another long password", "password2": "another long password", "usable_password": "true"}
    for who, client in staff.without(SUPERUSER).items():
        assert client.post(path, form).status_code in (302, 403), who
    target.refresh_from_db()
    assert target.password == ""
    assert staff.having(SUPERUSER or NO_RIGHT).post(path, form).status_code == 302
    target.refresh_from_db()
    assert target.check_password("another long password")


GRANTS = {"is_superuser": "on", "is_staff": "on", "is_active": "on", "username": "eve", "password": "x"}


def test_who_may_change_users_corrects_names_and_grants_nothing_not_even_to_himself() -> None:
    staff, superuser = Staff(), User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed")
    client = staff.having(frozenset({"auth.view_user", "auth.change_user"}))
    himself = User.objects.get(username="staff-0")
    left = User.objects.create(username="left", is_active=False, is_staff=True)
    group, right = a_group(), Permission.objects.first()
    assert right is not None
    form = {**GRANTS, "groups": [str(group.pk)], "user_permissions": [str(right.pk)]}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    for user in (himself, left):
        path = reverse("admin:auth_user_change", args=[user.pk])
        assert "id_is_superuser" not in client.get(path).content.decode()
        before = User.objects.filter(pk=user.pk).values().get()
        answer = client.post(path, {**form, **dates, "first_name": "Eve", "last_name": "", "email": "eve@x.example"})
        assert answer.status_code == 302
        after = User.objects.filter(pk=user.pk).values().get()
        assert after == {**before, "first_name": "Eve", "email": "eve@x.example"}
        assert user.groups.count() == 0
        assert set(user.user_permissions.values_list("codename", flat=True)) <= {"view_user", "change_user"}

    path = reverse("admin:auth_user_change", args=[superuser.pk])
    assert client.get(path).status_code == 200
    assert client.post(path, {**form, **dates, "email": "eve@x.example"}).status_code == 403
    assert User.objects.get(pk=superuser.pk).email == "ann@platform.example"


def test_an_account_that_no_superuser_opens_may_do_nothing() -> None:
    client = Staff().having(frozenset({"auth.view_user", "auth.add_user", "auth.change_user"}))
    form = {
        "username": "new",
        "usable_password": "true",
        "password1": "a quite long one",
        "password2": "a quite long one",
    }
    assert client.post(reverse("admin:auth_user_add"), {**form, **GRANTS, "username": "new"}).status_code == 302
    created = User.objects.get(username="new")
    assert (created.is_staff, created.is_superuser, created.get_all_permissions()) == (False, False, set())


def test_nobody_but_a_superuser_deletes_a_superuser() -> None:
    superuser, other = User.objects.create_superuser("ann"), a_user()
    client = Staff().having(frozenset({"auth.view_user", "auth.delete_user"}))
    data = {"action": "delete_selected", "_selected_action": [str(superuser.pk), str(other.pk)], "index": "0"}
    assert client.post(reverse("admin:auth_user_delete", args=[superuser.pk]), {"post": "yes"}).status_code == 403
    assert client.post(reverse("admin:auth_user_changelist"), {**data, "post": "yes"}).status_code == 403
    assert User.objects.filter(pk__in=[superuser.pk, other.pk]).count() == 2


def test_a_superuser_grants() -> None:
    client = Staff().having(SUPERUSER or NO_RIGHT)
    target, group = a_user(), a_group()
    form = {"username": target.username, "is_active": "on", "is_staff": "on", "groups": [str(group.pk)]}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert client.post(reverse("admin:auth_user_change", args=[target.pk]), {**form, **dates}).status_code == 302
    target.refresh_from_db()
    assert (target.is_staff, list(target.groups.all())) == (True, [group])
