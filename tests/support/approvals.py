"""People who ask for changes and decide about them."""

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from authority.acting import Staff, staff_of
from authority.models import Approval
from authority.roles import Role
from staff.access.api_sessions import Device, open_api_session
from tests.support.acting import group_of


def person(username: str, *roles: str, email: str | None = None) -> User:
    """A member of staff who has the roles, by default that of an admin."""
    address = f"{username}@platform.example" if email is None else email
    user = User.objects.create(username=username, email=address, is_staff=True)
    user.groups.set([group_of(str(role)) for role in roles or (Role.ADMIN,)])
    return user


def acting(user: User, *, reason: str = "", break_glass: str = "") -> Staff:
    """The user as an actor, with the rights of this moment."""
    return staff_of(User.objects.get(pk=user.pk), reason=reason, break_glass=break_glass)


def the_approval() -> Approval:
    """The only one there is."""
    (row,) = Approval.objects.all()
    return row


class StaffApi:
    """The staff API as one person calls it."""

    def __init__(self, user: User) -> None:
        device = Device("203.0.113.7", "tests")
        tokens = open_api_session(user=user, means="password", with_factor=True, device=device)
        self.headers = {"Authorization": f"Bearer {tokens.access}"}

    def get(self, path: str, **query: str) -> Any:
        return Client().get(path, query, headers=self.headers)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return Client(raise_request_exception=False).post(path, body or {}, "application/json", headers=sent)
