"""`Authorization: Bearer {access token}`: `request.user` is the Django user, `request.auth` the `ApiSession`."""

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from partner_platform.core.errors import ErrorCode, Unauthorized
from partner_platform.core.web.acceptance import note_accepted
from partners import keys
from staff.access import tokens
from staff.models import ApiSession


class StaffAuthentication(BaseAuthentication):
    """401 `missing_token`, `invalid_token` or `expired_token`, or the member of staff whose token it is."""

    def authenticate(self, request: Request) -> tuple[User, ApiSession]:
        token = keys.presented(request.META)
        if not token:
            raise Unauthorized(ErrorCode.MISSING_TOKEN, "Missing access token")
        session = tokens.read_access_token(token)
        # What staff are refused from here on is no stranger's refusal (`partners.refusals.refusal_limits`).
        request._request.api_call_is_admitted = True  # type: ignore[attr-defined]  # noqa: SLF001
        note_accepted(request.META)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
