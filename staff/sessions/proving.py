"""Tries to prove who somebody is, at the sign-in's second step and before something dangerous: counted, then checked,
and wrong ones recorded.
"""

from django.contrib.auth.models import User
from django.http import HttpRequest

from staff.access import guessing
from staff.access.api_sessions import device_of
from staff.second_factor import has_second_factor, passkeys, verify
from staff.services.sessions import record_failed_sign_in

CODE, PASSKEY, PASSWORD = "step_up_code", "step_up_passkey", "step_up_password"
TOO_MANY = "Too many attempts. Try again in some minutes."
WRONG = "This is not right, or it was used before."


def is_tried(request: HttpRequest) -> bool:
    """Whether the request carries a proof."""
    return any(name in request.POST for name in (CODE, PASSKEY, PASSWORD))


def problem_of_proof(request: HttpRequest, user: User, *, step: str) -> str:
    """Empty where the request proves that it is the user: by a second factor where they have one, else by the password.

    Otherwise what to say on the page. A wrong try is counted by `staff.access.guessing`, and recorded.
    """
    name = user.get_username()
    if guessing.is_one_too_many(request, name):
        return TOO_MANY
    if not _is_proof(request, user):
        record_failed_sign_in(user=user, device=device_of(request), step=step)
        return WRONG
    guessing.forgive_try(request, name)
    return ""


def _is_proof(request: HttpRequest, user: User) -> bool:
    if not has_second_factor(user):
        return user.check_password(request.POST.get(PASSWORD, ""))
    if credential := request.POST.get(PASSKEY, ""):
        return passkeys.use_passkey(user, credential)
    return verify(user, request.POST.get(CODE, ""))


def fields_for(user: User) -> dict[str, object]:
    """What a page needs to ask the user: the names of the fields, and what the browser is to sign."""
    return {
        "has_factor": has_second_factor(user),
        "passkey_options": passkeys.authentication_options(user),
        "code_field": CODE,
        "passkey_field": PASSKEY,
        "password_field": PASSWORD,
    }
