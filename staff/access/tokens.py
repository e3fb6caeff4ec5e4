"""Access tokens: JWTs of ten minutes (`djangorestframework-simplejwt`) that name the session they belong to.

Issuer, audience and the signing key, which is derived from Django's secret key for this alone, are in the settings
(`SIMPLE_JWT`). A token says who signed in and not what they may do: rights are those of the moment of each call.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from functools import cache

from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenBackendError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode, Unauthorized
from partners import keys
from staff.models import ApiSession
from staff.second_factor import is_required

SESSION_CLAIM = "sid"
MAX_TOKEN_LENGTH = 2_000  # ours have some 500 characters
# For so long after its end a token still tells that its bearer is no stranger (`is_ours`): as long as a refresh token.
KNOWN_AFTER_END = dt.timedelta(minutes=30)


def new_access_token(session: ApiSession) -> str:
    """A token of the session, which does not outlive it."""
    token = AccessToken.for_user(session.user)
    token[SESSION_CLAIM] = str(session.pk)
    token["exp"] = min(token["exp"], int(session.ends_at.timestamp()))
    return str(token)


def read_access_token(token: str) -> ApiSession:
    """The open session whose token it is, with its user; one query.

    Raises 401 `expired_token` or `invalid_token`, the latter also where the session has ended, the account is closed,
    is not staff's, or has another password since.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise invalid()
    try:
        claims = AccessToken(token)  # type: ignore[arg-type]  # its stubs want bytes or a token
    except ExpiredTokenError as error:
        raise Unauthorized(ErrorCode.EXPIRED_TOKEN, "The access token has expired") from error
    except TokenError as error:
        raise invalid() from error
    session = _session(str(claims.get(SESSION_CLAIM, "")))
    if session is None or not is_open(session, clock.now()):
        raise invalid()
    return session


def is_open(session: ApiSession, now: dt.datetime) -> bool:
    """Whether the session may go on, as its row and its user's say that were read."""
    user = session.user
    return (
        session.ended_at is None
        and session.ends_at > now
        and user.is_active
        and user.is_staff
        and (session.with_factor or not is_required())
        and constant_time_compare(session.password_mark, user.get_session_auth_hash())
    )


def is_ours(meta: Mapping[str, object]) -> bool:
    """Whether a request with this `META` carries an access token that we signed, which may have ended a while ago.

    No query: the session may have ended. For limits on strangers' calls only.
    """
    token = keys.presented(meta)
    if token.count(".") != 2 or len(token) > MAX_TOKEN_LENGTH:
        return False
    try:
        claims = _lenient_backend().decode(token)  # type: ignore[arg-type]  # its stubs want a token
    except TokenBackendError:
        return False
    return claims.get(api_settings.TOKEN_TYPE_CLAIM) == AccessToken.token_type


def invalid(what: str = "access") -> Unauthorized:
    """401: the token is nobody's, or its session is over."""
    return Unauthorized(ErrorCode.INVALID_TOKEN, f"Invalid {what} token")


@cache
def _lenient_backend() -> TokenBackend:
    return TokenBackend(
        api_settings.ALGORITHM,
        api_settings.SIGNING_KEY,
        audience=api_settings.AUDIENCE,
        issuer=api_settings.ISSUER,
        leeway=KNOWN_AFTER_END,
    )


def _session(text: str) -> ApiSession | None:
    try:
        return ApiSession.objects.select_related("user").get(pk=uuid.UUID(text))
    except (ValueError, ApiSession.DoesNotExist):
        return None
