"""Second factors of staff."""

from django.contrib.auth.models import User


def has_second_factor(user: User) -> bool:
    """Whether the user has a second factor that was verified once."""
    return False


def verify(user: User, otp: str) -> bool:
    """Whether `otp` is a code of the user's authenticator app, or one of the recovery codes; each is taken once."""
    return False
