"""Tokens with which commands act as somebody: made by `manage.py login`, good for `MINUTES`.

A token is signed with the platform's key and bound to the account, to its password and to the moment. It ends with the
account's sessions: where others end them, or a second factor is taken away. It is kept in a
file that only its owner reads, and never shown. The file is `STAFF_TOKEN_FILE`, by default below the state directory
of whoever is logged in on the machine.
"""

import datetime as dt
import os
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.signing import BadSignature, Signer
from django.utils.crypto import constant_time_compare

from audit.models import AuditEntry
from authority.acting import PREFIX
from partner_platform.core import clock

MINUTES = 15
SESSION_ENDED = "staff.session_ended"  # by others: who ends one of their own, or was idle, may go on here
ENDS_SESSIONS = frozenset(
    {
        *(SESSION_ENDED, "staff.all_sessions_ended"),
        *("staff.account_closed", "staff.factors_reset", "staff.factor_removed"),
    }
)
_SALT = "authority.command_tokens"


class TokenRefused(Exception):
    """Nobody acts with this token; the message says why, and what to do."""


def new_command_token(user: User) -> str:
    """A token of the user, from now on."""
    claims = {"user": str(user.pk), "password": user.get_session_auth_hash(), "at": clock.now().timestamp()}
    return Signer(salt=_SALT).sign_object(claims)


def require_token_of(user: User, token: str) -> None:
    """Raise `TokenRefused` unless the token is this user's, of at most `MINUTES`, and of the present password."""
    log_in = f"run: manage.py login --as {user.get_username()}"
    try:
        claims = Signer(salt=_SALT).unsign_object(token)
    except BadSignature as error:
        raise TokenRefused(f"The token is not one of this platform; {log_in}") from error
    if claims["user"] != str(user.pk):
        raise TokenRefused(f"The token is somebody else's; {log_in}")
    if not constant_time_compare(claims["password"], user.get_session_auth_hash()):
        raise TokenRefused(f"The password was changed since; {log_in}")
    age = clock.now() - dt.datetime.fromtimestamp(claims["at"], dt.UTC)
    if not dt.timedelta(0) <= age <= dt.timedelta(minutes=MINUTES):
        raise TokenRefused(f"The token has ended, {MINUTES} minutes after it was made; {log_in}")
    if _is_ended_by_others(user, clock.now() - age):
        raise TokenRefused(f"The account's sessions or second factors were ended since; {log_in}")


def _is_ended_by_others(user: User, since: dt.datetime) -> bool:
    """Whether something was done since then that ends the account's sessions in the console and the API as well."""
    owner = f"{PREFIX}{user.get_username()}"
    acts = AuditEntry.objects.filter(target=owner[:120], timestamp__gte=since, action__in=sorted(ENDS_SESSIONS))
    return any(
        action != SESSION_ENDED or (actor.startswith(PREFIX) and actor != owner)
        for actor, action in acts.values_list("actor", "action")
    )


def token_file() -> Path:
    """Where the token of this machine's user is kept. Raises `TokenRefused` where there is no such place."""
    if settings.STAFF_TOKEN_FILE:
        return Path(settings.STAFF_TOKEN_FILE)
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError as error:  # a container's user without a home
        raise TokenRefused("There is no home folder: name a file for the token with STAFF_TOKEN_FILE") from error
    return state / "partner-platform" / "staff-token"


def store_token(token: str) -> Path:
    """Put the token into its file, readable by its owner alone from the first byte on; returns the file."""
    path = token_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # so that an older file's mode, owner and links are not taken over
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)
    except OSError as error:
        raise TokenRefused(f"{path}: {error.strerror}; name another file with STAFF_TOKEN_FILE") from error
    return path


def stored_token(username: str) -> str:
    """The token of this machine's user. Raises `TokenRefused` where there is none, or where others can read it."""
    path = token_file()
    try:
        if path.stat().st_mode & 0o077:
            raise TokenRefused(f"Others can read {path}: delete it, and run: manage.py login --as {username}")
        return path.read_text()
    except OSError as error:
        raise TokenRefused(f"Nobody is logged in here; run: manage.py login --as {username}") from error


def forget_token() -> None:
    """Delete the token of this machine's user, if there is one."""
    token_file().unlink(missing_ok=True)
