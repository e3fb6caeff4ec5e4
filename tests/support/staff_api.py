"""Calls of the staff API, by a member of staff with some roles."""

import itertools
import json
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from staff.access.tokens import new_access_token
from tests.support.acting import group_of

_numbers = itertools.count(1)


def make_user(*roles: str, **columns: Any) -> User:
    """An account of staff with these roles; without a password, nobody signs in with it."""
    columns = {"username": f"staff-{next(_numbers)}", "is_staff": True, **columns}
    user = User.objects.create(**columns)
    user.groups.add(*(group_of(role) for role in roles))
    return user


def token_of(user: User) -> str:
    """An access token of the user's."""
    return new_access_token(user)


class StaffApi:
    """JSON in, JSON out, with a token."""

    def __init__(self, token: str = "") -> None:
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """The answer; without a body none is sent."""
        text = "" if body is None else json.dumps(body)
        client = Client(raise_request_exception=False)
        return client.generic(method, path, text, "application/json", headers={**self.headers, **headers})

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)


def as_role(*roles: str, **columns: Any) -> StaffApi:
    """The calls of a new member of staff with these roles."""
    return StaffApi(token_of(make_user(*roles, **columns)))
