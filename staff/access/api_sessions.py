"""Sessions of the API: opened by a sign-in, prolonged by refresh tokens, ended by whoever may.

A session lasts twelve hours at most, and thirty minutes after its last refresh, as those of the console. Each refresh
exchanges the refresh token for another one. A refresh token that comes a second time was copied, by whom is not known,
so the whole session ends. Of two exchanges at the same moment one gets tokens; the other ends the session.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.calls.client_address import client_address
from audit.calls.sanitizing import clean_text
from authority.acting import Staff, needs
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Unauthorized
from staff.access import recording, tokens
from staff.models import ApiSession, RefreshToken

LIFETIME = dt.timedelta(hours=12)
IDLE = dt.timedelta(minutes=30)
PREFIX = "rt_"  # so that logs can mask refresh tokens by their form
DOOR = "api"  # in the audit trail; the other one is the console
SWEEP_BATCH = 500
KEPT_AFTER_END = dt.timedelta(days=30)

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class TokenPair:
    """What a sign-in and a refresh return; shown once."""

    access: str
    refresh: str


@dataclass(frozen=True)
class Device:
    """Where a call comes from: the client's address ("unknown" where the server does not know it) and its program."""

    address: str
    user_agent: str


def device_of(request: HttpRequest) -> Device:
    """The caller's device, in a form that can be stored."""
    address = client_address(request.META, settings.TRUSTED_PROXIES) or "unknown"
    return Device(address, clean_text(request.META.get("HTTP_USER_AGENT", ""), 300))


def open_api_session(*, user: User, means: str, with_factor: bool, device: Device) -> TokenPair:
    """A session of the user, who proved who they are by `means` (`password`, `wallet`). Audited."""

    def open_it() -> TokenPair:
        now = clock.now()
        session = ApiSession(
            user=user,
            means=means,
            with_factor=with_factor,
            address=device.address,
            user_agent=device.user_agent,
            password_mark=user.get_session_auth_hash(),
            opened_at=now,
            last_refreshed_at=now,
            ends_at=now + LIFETIME,
        )
        session.save(force_insert=True)
        how = {"door": DOOR, "means": means, "secondFactor": with_factor, "session": str(session.pk)}
        recording.record_sign_in(user, **how, address=device.address)
        return _next_pair(session, now)

    return run_in_transaction(open_it)


def refresh_session(token: str, device: Device) -> TokenPair:
    """Exchange a refresh token for a new pair; it is used up.

    Raises 401 `expired_token` after thirty minutes, and `invalid_token` where it is unknown, its session has ended, or
    it was exchanged before: then the session ends, audited.
    """
    return _raised_after(lambda: _refresh(token, device))


def _refresh(token: str, device: Device) -> TokenPair | Unauthorized:
    row = RefreshToken.objects.select_related("session__user").filter(token_hash=hash_token(token)).first()
    if row is None:
        return tokens.invalid("refresh")
    now, session = clock.now(), row.session
    # Who changes the row first has the exchange; the session's row comes second everywhere.
    if RefreshToken.objects.filter(pk=row.pk, used_at=None).update(used_at=now) != 1:
        if _end([session], "refresh token used twice", now):
            how = {"door": DOOR, "session": str(session.pk), "address": device.address}
            recording.record_end(recording.SYSTEM, session.user.get_username(), "staff.refresh_token_reused", **how)
        return tokens.invalid("refresh")
    if not tokens.is_open(session, now):
        return tokens.invalid("refresh")
    if row.expires_at <= now:
        return Unauthorized(ErrorCode.EXPIRED_TOKEN, "The refresh token has expired: sign in again")
    if ApiSession.objects.filter(pk=session.pk, ended_at=None).update(last_refreshed_at=now) != 1:
        return tokens.invalid("refresh")
    return _next_pair(session, now)


def sign_out(session: ApiSession) -> None:
    """End the session at the wish of its user; audited. Once it has ended it does nothing."""
    username = session.user.get_username()

    def end() -> None:
        if _end([session], "signed out", clock.now()):
            recording.record_end(Staff(username, ()), username, "staff.signed_out", door=DOOR, session=str(session.pk))

    run_in_transaction(end)


@needs(Right.MANAGE_STAFF)
def revoke_api_session(*, session: ApiSession, actor: str) -> None:
    """End somebody's session. Audited. Once it has ended it does nothing."""
    username = session.user.get_username()

    def end() -> None:
        if _end([session], "ended by staff", clock.now()):
            how = {"door": DOOR, "session": str(session.pk), "because": "ended by staff"}
            recording.record_end(actor, username, "staff.session_ended", **how)

    run_in_transaction(end)


def end_api_sessions(*, user: User, actor: str, because: str) -> int:
    """End every open session of the user, and with it its access tokens; returns how many there were. Audited.

    It asks for no right: who calls it has asked for the one of its own act, such as closing an account.
    """

    def end() -> int:
        now = clock.now()
        sessions = ApiSession.objects.filter(user=user, ended_at=None, ends_at__gt=now).order_by("pk")
        ended = _end(list(sessions), because, now)
        if ended:
            how = {"door": DOOR, "sessions": ended, "because": because}
            recording.record_end(actor, user.get_username(), "staff.session_ended", **how)
        return ended

    return run_in_transaction(end)


def open_api_sessions() -> QuerySet[ApiSession]:
    """Sessions that can be refreshed."""
    now = clock.now()
    return ApiSession.objects.filter(ended_at=None, ends_at__gt=now, last_refreshed_at__gt=now - IDLE)


def hash_token(token: str) -> str:
    """The SHA-256 of a refresh token, hex: what the database holds. The token is random, so that it needs no salt."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def delete_old_sessions() -> int:
    """Delete refresh tokens a day after their end, and sessions a month after theirs; returns how many rows."""
    now = clock.now()
    expired = RefreshToken.objects.filter(expires_at__lte=now - dt.timedelta(days=1)).order_by("expires_at")
    token_ids = list(expired.values_list("pk", flat=True)[:SWEEP_BATCH])
    old = ApiSession.objects.filter(ends_at__lte=now - KEPT_AFTER_END).order_by("ends_at")
    session_ids = list(old.values_list("pk", flat=True)[:SWEEP_BATCH])
    RefreshToken.objects.filter(pk__in=token_ids).delete()
    ApiSession.objects.filter(pk__in=session_ids).delete()
    return len(token_ids) + len(session_ids)


def _next_pair(session: ApiSession, now: dt.datetime) -> TokenPair:
    refresh = PREFIX + secrets.token_urlsafe(32)
    row = RefreshToken(
        session=session,
        token_hash=hash_token(refresh),
        created_at=now,
        expires_at=min(now + IDLE, session.ends_at),
    )
    row.save(force_insert=True)
    return TokenPair(access=tokens.new_access_token(session), refresh=refresh)


def _end(sessions: list[ApiSession], because: str, now: dt.datetime) -> int:
    """End those that are still open; how many."""
    ids = [session.pk for session in sessions]
    return ApiSession.objects.filter(pk__in=ids, ended_at=None).update(ended_at=now, ended_because=because[:40])


def _raised_after(act: Callable[[], T | Unauthorized]) -> T:
    """Run `act` in a transaction, commit what it did, and raise the refusal that it returned."""
    result = run_in_transaction(act)
    if isinstance(result, Unauthorized):
        raise result
    return result
