"""Who may act on whose account."""

from django.contrib.auth.models import User

from authority.acting import PREFIX, Staff
from partner_platform.core.errors import ErrorCode, Forbidden

MAX_TARGET = 120  # characters, as wide as the trail's column


def user_target(user: User) -> str:
    """The account as the audit trail names it."""
    return f"{PREFIX}{user.get_username()}"[:MAX_TARGET]


def require_own(actor: str, user: User) -> None:
    """Raise 403 unless the actor is the user."""
    if not isinstance(actor, Staff) or actor.username != user.get_username():
        raise Forbidden(ErrorCode.PERMISSION_DENIED, "Only the person themselves may do this")


def require_not_own(actor: str, user: User) -> None:
    """Raise 403 where somebody acts on their own account."""
    if isinstance(actor, Staff) and actor.username == user.get_username():
        raise Forbidden(ErrorCode.PERMISSION_DENIED, "Nobody does this to their own account")


def require_other(actor: str, user: User) -> None:
    """Raise 403 where somebody acts on their own account, or anybody on a superuser's; `user` as it is stored."""
    require_not_own(actor, user)
    if user.is_superuser:
        message = f"{user.get_username()} is a superuser: another superuser takes that away first"
        raise Forbidden(ErrorCode.PERMISSION_DENIED, message)


def require_superuser(actor: str) -> None:
    """Raise 403 where a person acts who is no superuser."""
    if isinstance(actor, Staff):
        superusers = User.objects.filter(username=actor.username, is_superuser=True, is_active=True)
        if not superusers.exists():
            raise Forbidden(ErrorCode.PERMISSION_DENIED, "Only superusers grant rights")
    elif actor.startswith(PREFIX):
        raise TypeError(f"{actor!r} is a text: people act as a Staff")
