"""Accounts of staff as tests need them: with a second factor, signed in by the console's own pages."""

import re
from typing import Any

import pyotp
from django.contrib.auth.models import User
from django.test import Client

from authority.acting import staff_of
from authority.roles import Role
from partner_platform.core import clock
from staff.services import factors
from tests.support.acting import group_of

PASSWORD = "a long password indeed"
LOGIN, FACTOR, ENROL = "/console/login/", "/console/login/factor/", "/console/login/enrol/"
CODES = re.compile(r"<li><code>([a-z2-9-]{19})</code></li>")


def staff_user(username: str = "ann", *roles: Role, superuser: bool = False) -> User:
    """An account of staff with these roles."""
    user = User.objects.create_user(username, f"{username}@platform.example", PASSWORD, is_staff=True)
    if superuser:
        User.objects.filter(pk=user.pk).update(is_superuser=True)
    user.groups.set([group_of(role) for role in roles])
    return User.objects.get(pk=user.pk)


class App:
    """An authenticator app; each code that it gives is of a later step, as `ahead` of the clock."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret)

    def code(self, *, steps: int = 0) -> str:
        return self.totp.generate_otp(int(clock.now().timestamp()) // 30 + steps)


def add_app(user: User) -> tuple[App, list[str]]:
    """Give the user an app, whose code of the step before is used up by this; and the recovery codes."""
    app = App(pyotp.random_base32())
    codes = factors.add_app(actor=staff_of(user), user=user, secret=app.totp.secret, code=app.code(steps=-1))
    return app, codes


def give_password(client: Client, username: str = "ann", password: str = PASSWORD, **where: Any) -> Any:
    """The first step of the sign-in."""
    return client.post(f"{LOGIN}?next=/console/", {"username": username, "password": password}, **where)


def is_signed_in(client: Client) -> bool:
    return client.get("/console/").status_code == 200
