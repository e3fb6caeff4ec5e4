"""Rights are granted by two people, neither of whom they are for; they are taken away by one."""

from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from authority.approvals import deciding
from authority.approvals.requiring import WaitsForApproval
from authority.models import Approval
from authority.roles import Role
from partner_platform.core.errors import Forbidden
from staff.services import accounts
from tests.support.acting import group_of
from tests.support.approvals import acting, person, the_approval

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    settings.APPROVALS = "required"


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", "root@platform.example", "a long password indeed")


def change(root: User, user: User, roles: Sequence[Role], *, superuser: bool = False, is_staff: bool = True) -> None:
    accounts.change_rights(actor=acting(root), user=user, is_staff=is_staff, is_superuser=superuser, roles=roles)


def roles_of(user: User) -> list[str]:
    return sorted(User.objects.get(pk=user.pk).groups.values_list("name", flat=True))


def test_a_further_role_waits_and_is_granted_once_another_admin_approves(root: User) -> None:
    ann, bob = person("ann", Role.VIEWER), person("bob")
    with pytest.raises(WaitsForApproval):
        change(root, ann, [Role.VIEWER, Role.CREDIT])
    row = the_approval()
    assert (row.target, row.before["roles"], row.after["roles"]) == ("staff:ann", ["viewer"], ["credit", "viewer"])
    assert roles_of(ann) == ["viewer"]
    deciding.approve(approval_id=str(row.pk), actor=acting(bob), reason="new task")
    assert roles_of(ann) == ["credit", "viewer"]


def test_who_is_granted_rights_does_not_approve_them(root: User) -> None:
    bob = person("bob")
    with pytest.raises(WaitsForApproval):
        change(root, bob, [Role.ADMIN], superuser=True)
    with pytest.raises(Forbidden, match="rights of their own"):
        deciding.approve(approval_id=str(the_approval().pk), actor=acting(bob), reason="mine")
    assert (User.objects.get(pk=bob.pk).is_superuser, the_approval().status) == (False, "WAITING")


def test_nor_does_another_account_of_theirs(root: User) -> None:
    bob, second = person("bob"), person("bob.2", Role.VIEWER, email="Bob@platform.example")
    with pytest.raises(WaitsForApproval):
        change(root, second, [Role.ADMIN], superuser=True)
    with pytest.raises(Forbidden, match="rights of their own"):
        deciding.approve(approval_id=str(the_approval().pk), actor=acting(bob), reason="mine")
    assert (User.objects.get(pk=second.pk).is_superuser, the_approval().status) == (False, "WAITING")


def test_rights_are_taken_away_at_once(root: User) -> None:
    ann = person("ann", Role.VIEWER, Role.CREDIT)
    change(root, ann, [Role.VIEWER])
    change(root, ann, [], is_staff=False)
    assert (roles_of(ann), User.objects.get(pk=ann.pk).is_staff, Approval.objects.count()) == ([], False, 0)


def test_a_superuser_who_is_none_any_more_has_granted_nothing(root: User) -> None:
    ann, bob = person("ann", Role.VIEWER), person("bob")
    root.groups.add(group_of(Role.ADMIN))  # which is left to them
    with pytest.raises(WaitsForApproval):
        change(root, ann, [Role.ADMIN])
    User.objects.filter(pk=root.pk).update(is_superuser=False)
    with pytest.raises(Forbidden):
        deciding.approve(approval_id=str(the_approval().pk), actor=acting(bob), reason="seen")
    assert roles_of(ann) == ["viewer"]
