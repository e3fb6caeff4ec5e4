"""The sign-in of `manage.py login`: password, second factor, then a token for commands of this machine's user."""

from collections.abc import Callable
from typing import NoReturn

from django.contrib.auth.models import User

from audit.calls.sanitizing import clean_text
from audit.services import record_change
from authority import command_tokens
from authority.acting import staff_of
from authority.backend import RoleBackend
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Unauthorized
from staff import second_factor

MAX_NAME = 60
SYSTEM = "system:sign-in"
HOW: dict[str, object] = {"door": "command", "means": "password"}
SET_ONE_UP = "This account needs a second factor: sign in to the console and set one up first"


def sign_in_for_commands(*, username: str, password: str, ask_code: Callable[[], str]) -> User:
    """Keep a token of the member of staff in this machine's file; `ask_code` is called where a code is needed.

    Raises 401, audited, with one message for whatever of name, password and code was wrong; `TokenRefused` where the
    token cannot be kept.
    """
    user = RoleBackend().authenticate(None, username=username, password=password)
    if not isinstance(user, User) or not user.is_staff:
        _refuse(username, "wrong name or password")
    if second_factor.has_second_factor(user):
        if not second_factor.verify(user, ask_code()):
            _refuse(username, "wrong second factor")
    elif second_factor.is_required():
        _refuse(username, "no second factor", SET_ONE_UP)
    command_tokens.store_token(command_tokens.new_command_token(user))
    run_in_transaction(lambda: _record(str(staff_of(user)), "staff.signed_in", user.get_username(), HOW))
    return user


def _refuse(username: str, why: str, message: str = "Name, password or second factor is wrong") -> NoReturn:
    name = clean_text(username, MAX_NAME)
    run_in_transaction(lambda: _record(SYSTEM, "staff.sign_in_failed", name, {**HOW, "reason": why}))
    raise Unauthorized(ErrorCode.INVALID_TOKEN, message)


def _record(actor: str, action: str, username: str, how: dict[str, object]) -> None:
    record_change(actor=actor, action=action, target=f"staff:{username}"[:120], after=how)
