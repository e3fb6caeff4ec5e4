"""The sign-in of `manage.py login`: password, second factor, then a token for commands of this machine's user.

Tries are not counted as those over the network are (`staff.access.guessing`): whoever may run commands here has the
platform's keys.
"""

import unicodedata
from collections.abc import Callable
from typing import NoReturn

from django.contrib.auth.models import User

from authority import command_tokens
from authority.backend import RoleBackend
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Unauthorized
from staff import second_factor
from staff.access import recording

HOW = {"door": "command", "means": "password"}
SET_ONE_UP = "This account needs a second factor: sign in to the console and set one up first"


def sign_in_for_commands(*, username: str, password: str, ask_code: Callable[[], str]) -> User:
    """Keep a token of the member of staff in this machine's file; `ask_code` is called where a code is needed.

    Raises 401, audited, with one message for whatever of name, password and code was wrong; `TokenRefused` where the
    token cannot be kept.
    """
    # Django's login form reads a name so. The backend hashes the password of an unknown name, too.
    name = unicodedata.normalize("NFKC", username).strip()
    user = RoleBackend().authenticate(None, username=name, password=password)
    if not isinstance(user, User) or not user.is_staff:
        _refuse(username, "wrong name or password")
    has_one = second_factor.has_second_factor(user)
    if has_one and not second_factor.verify(user, ask_code()):
        _refuse(username, "wrong second factor")
    if not has_one and second_factor.is_required():
        _refuse(username, "no second factor", SET_ONE_UP)
    command_tokens.store_token(command_tokens.new_command_token(user))
    run_in_transaction(lambda: recording.record_sign_in(user, **HOW, secondFactor=has_one))
    return user


def _refuse(username: str, why: str, message: str = "Name, password or second factor is wrong") -> NoReturn:
    run_in_transaction(lambda: recording.record_failed_try(username, **HOW, reason=why))
    raise Unauthorized(ErrorCode.INVALID_CREDENTIALS, message)
