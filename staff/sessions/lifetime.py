"""How long a session lasts: since it was opened, since it was used, since its person proved who they are."""

import datetime as dt
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet

from partner_platform.core import clock
from staff.models import ConsoleSession
from staff.second_factor import checking

TOUCH_AFTER = dt.timedelta(minutes=1)


def open_sessions() -> QuerySet[ConsoleSession]:
    """Sessions that go on, newest first."""
    now = clock.now()
    return ConsoleSession.objects.filter(
        ended_at=None, opened_at__gt=now - _absolute(), last_seen_at__gt=now - _idle()
    ).order_by("-opened_at", "pk")


def open_sessions_of(user: User) -> QuerySet[ConsoleSession]:
    """The user's sessions that go on, newest first."""
    return open_sessions().filter(user=user)


def find_session(session_id: UUID) -> ConsoleSession | None:
    """The session with its user, in one query."""
    return ConsoleSession.objects.select_related("user").filter(pk=session_id).first()


def why_over(session: ConsoleSession) -> str:
    """Why the session may not go on; empty: it may."""
    now = clock.now()
    if session.opened_at <= now - _absolute():
        return "too old"
    if session.last_seen_at <= now - _idle():
        return "idle for too long"
    if checking.is_required() and not session.with_factor:
        return "without second factor"
    return ""


def is_touch_due(session: ConsoleSession) -> bool:
    """Whether the use of the session is to be written down again."""
    return session.last_seen_at <= clock.now() - TOUCH_AFTER


def is_proved_lately(session: ConsoleSession) -> bool:
    """Whether its person has proved who they are within the last minutes."""
    return session.proved_at > clock.now() - dt.timedelta(minutes=settings.STAFF_STEP_UP_MINUTES)


def _absolute() -> dt.timedelta:
    return dt.timedelta(hours=settings.STAFF_SESSION_HOURS)


def _idle() -> dt.timedelta:
    return dt.timedelta(minutes=settings.STAFF_SESSION_IDLE_MINUTES)
