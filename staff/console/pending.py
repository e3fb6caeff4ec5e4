"""A sign-in whose password was right and whose second step is missing.

It is kept in a session that nobody is signed in with, so it gives no right: Django sees a stranger.
"""

import datetime as dt

from django.conf import settings
from django.contrib.auth import login as auth_login
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from authority.acting import staff_of
from partner_platform.core import clock
from staff.access.api_sessions import device_of
from staff.services import sessions
from staff.sessions.middleware import NAME, session_of

PENDING = "pending_sign_in"
FINISH_WITHIN = dt.timedelta(minutes=10)
MOST_WRONG = 5  # then the password is asked for again, which costs a slow hash also where nothing counts tries


def begin(request: HttpRequest, user: User, *, next_url: str) -> None:
    """The password was right. Whoever was signed in with this browser no longer is."""
    _leave(request)
    request.session[PENDING] = {
        "user": str(user.pk),
        "password": user.get_session_auth_hash(),
        "since": clock.now().timestamp(),
        "next": next_url,
        "wrong": 0,
    }
    request.session.set_expiry(FINISH_WITHIN)


def pending_user(request: HttpRequest) -> User | None:
    """Whose sign-in it is; None where there is none, it is too old, or the account or its password changed."""
    kept = request.session.get(PENDING)
    if not kept or kept["wrong"] >= MOST_WRONG or kept["since"] <= (clock.now() - FINISH_WITHIN).timestamp():
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True, is_staff=True).first()
    if user is None or not constant_time_compare(user.get_session_auth_hash(), kept["password"]):
        return None
    return user


def note_wrong(request: HttpRequest) -> None:
    """The second step was tried and was wrong."""
    request.session[PENDING]["wrong"] += 1
    request.session.modified = True


def finish(request: HttpRequest, user: User, *, with_factor: bool) -> str:
    """Sign the user in; returns where to go."""
    next_url = request.session.get(PENDING, {}).get("next", "")
    _leave(request)
    session = sessions.open_session(user=user, device=device_of(request), with_factor=with_factor)
    auth_login(request, user)
    request.session[NAME] = session.pk.hex
    request.session.set_expiry(dt.timedelta(hours=settings.STAFF_SESSION_HOURS))
    return str(next_url)


def _leave(request: HttpRequest) -> None:
    session = session_of(request)
    if session is not None:
        sessions.end_own_session(actor=staff_of(session.user), session=session, because="signed in anew")
    request.session.flush()
    request.user = AnonymousUser()
