"""An entry in the audit trail for every call that a member of staff was refused.

Whoever signed in and asks for what their roles do not give is either mistaken or not who they seem to be: both are
worth a look. A call without a valid session or token is nobody's, and only counted (`partners.refusals`).
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

from audit.calls.sanitizing import clean_text
from audit.services import record_change
from authority.acting import PREFIX
from partner_platform.core.database.transactions import run_in_transaction

logger = logging.getLogger(__name__)

WATCHED_PATHS = ("/admin/", "/auth/", "/console/")
ACTION = "staff.refused"
MAX_PATH, MAX_TARGET = 300, 120


class RefusedStaffMiddleware:
    """Records each 403 of a signed-in member of staff; a failure to record it is logged and changes no response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.FORBIDDEN and request.path.startswith(WATCHED_PATHS):
            try:
                run_in_transaction(lambda: _record(request))
            except Exception:
                logger.exception("could not record that %s %s was refused", request.method, request.path)
        return response


def _record(request: HttpRequest) -> None:
    user = getattr(request, "user", None)  # of the session, or of the access token
    if user is None or not user.is_authenticated or not getattr(user, "is_staff", False):
        return
    error: Any = getattr(request, "platform_error", None)
    who = f"{PREFIX}{user.get_username()}"
    record_change(
        actor=who,
        action=ACTION,
        target=who[:MAX_TARGET],
        after={
            "method": clean_text(request.method, 10),
            "path": clean_text(request.path, MAX_PATH),
            "right": None if error is None else error.details.get("right"),
        },
    )
