"""Access tokens: short-lived JWTs (`djangorestframework-simplejwt`) that name the user."""

from django.contrib.auth.models import User
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import AccessToken

from partner_platform.core.errors import ErrorCode, Unauthorized


def new_access_token(user: User) -> str:
    """A token of the user."""
    return str(AccessToken.for_user(user))


def read_access_token(token: str) -> User:
    """The user whose token it is.

    Raises 401 `expired_token` or `invalid_token`, the latter also where the account is closed or is not staff's.
    """
    try:
        claims = AccessToken(token)  # type: ignore[arg-type]  # its stubs want bytes or a token
    except ExpiredTokenError as error:
        raise Unauthorized(ErrorCode.EXPIRED_TOKEN, "The access token has expired") from error
    except TokenError as error:
        raise _invalid() from error
    user = User.objects.filter(pk=claims["user_id"], is_active=True, is_staff=True).first()
    if user is None:
        raise _invalid()
    return user


def _invalid() -> Unauthorized:
    return Unauthorized(ErrorCode.INVALID_TOKEN, "Invalid access token")
