"""Each request of the console: whether its session goes on, looked up in one query; a use is written once a minute.

A session of Django's that names no open row of ours is ended: who is signed in was signed in by `staff.console`.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from staff.models import ConsoleSession
from staff.services.sessions import expire_session, note_seen
from staff.sessions import lifetime, step_up

CONSOLE = "/console/"
NAME = "console_session"  # of the row's id in Django's session, and of the row on the request


class ConsoleSessionMiddleware:
    """After Django's own of sessions and authentication; it asks nothing for requests of the API."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(CONSOLE):
            session = _open_session_of(request)
            setattr(request, NAME, session)
            request.ask_again = partial(step_up.ask_or_go_on, request, session)  # type: ignore[attr-defined]
        return self.get_response(request)


def session_of(request: HttpRequest) -> ConsoleSession | None:
    """The session that the request is made in; None for who is not signed in."""
    found: ConsoleSession | None = getattr(request, NAME, None)
    return found


def _open_session_of(request: HttpRequest) -> ConsoleSession | None:
    if SESSION_KEY not in request.session:
        return None
    session = _row_of(request)
    if session is None or session.ended_at is not None:
        _forget(request)
        return None
    if because := lifetime.why_over(session):
        expire_session(session=session, because=because)
        _forget(request)
        return None
    if lifetime.is_touch_due(session):
        note_seen(session=session)
    return session


def _row_of(request: HttpRequest) -> ConsoleSession | None:
    try:
        session = lifetime.find_session(UUID(request.session[NAME]))
    except (KeyError, ValueError):
        return None
    return session if session is not None and str(session.user_id) == request.session[SESSION_KEY] else None


def _forget(request: HttpRequest) -> None:
    request.session.flush()
    request.user = AnonymousUser()
