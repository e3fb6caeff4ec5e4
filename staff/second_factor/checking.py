"""Whether a user has a second factor, and whether what was typed is one."""

from django.conf import settings
from django.contrib.auth.models import User

from staff.models import Passkey, TotpDevice
from staff.second_factor import recovery, totp


def is_required() -> bool:
    """Whether everybody of staff needs a second factor (`STAFF_SECOND_FACTOR`)."""
    return bool(settings.STAFF_SECOND_FACTOR == "required")


def has_second_factor(user: User) -> bool:
    """Whether the user has an authenticator app or a passkey; recovery codes alone are none."""
    return TotpDevice.objects.filter(user=user).exists() or Passkey.objects.filter(user=user).exists()


def verify(user: User, otp: str) -> bool:
    """Take a code of the authenticator app, or a recovery code; each is taken once.

    False for everything else, also where the user has no second factor. The caller counts the tries.
    """
    code = "".join(otp.split())
    if len(code) == totp.DIGITS:
        return totp.use_totp_code(user, code)
    return has_second_factor(user) and recovery.use_recovery_code(user, code)
