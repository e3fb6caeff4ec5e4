"""Sign-ins in the audit trail, to the API and to the console. Call it in the transaction of the act."""

from django.contrib.auth.models import User

from audit.calls.sanitizing import clean_text
from audit.services import record_change
from authority.acting import PREFIX, Staff
from partner_platform.core import clock
from staff.access.guessing import account_name

SYSTEM = "system:sign-in"  # the actor where nobody is signed in
MAX_NAME = 60


def record_sign_in(user: User, **how: object) -> None:
    """`staff.signed_in`, and the user's `last_login`. `how` is JSON: the door (`api`, `console`), means and address."""
    User.objects.filter(pk=user.pk).update(last_login=clock.now())
    _record(Staff(user.get_username(), ()), "staff.signed_in", user.get_username(), how)


def record_failed_try(typed_name: str, **how: object) -> None:
    """`staff.sign_in_failed`, for the name that was tried: normalized and shortened, and never the password."""
    _record(SYSTEM, "staff.sign_in_failed", clean_text(account_name(typed_name), MAX_NAME), how)


def record_end(actor: str, username: str, action: str, **how: object) -> None:
    """A session's end: `staff.signed_out`, `staff.session_ended`, `staff.refresh_token_reused`."""
    _record(actor, action, username, how)


def _record(actor: str, action: str, username: str, how: dict[str, object]) -> None:
    # A target holds 120 characters, a user name of Django's up to 150.
    record_change(actor=actor, action=action, target=f"{PREFIX}{username}"[:120], after=how)
