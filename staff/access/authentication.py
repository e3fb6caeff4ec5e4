"""`Authorization: Bearer {access token}`: `request.user` is the Django user."""

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from partner_platform.core.errors import ErrorCode, Unauthorized
from partner_platform.core.web.acceptance import note_accepted
from partners import keys
from staff.access import tokens


class StaffAuthentication(BaseAuthentication):
    """401 `missing_token`, `invalid_token` or `expired_token`, or the member of staff whose token it is."""

    def authenticate(self, request: Request) -> tuple[User, str]:
        token = keys.presented(request.META)
        if not token:
            raise Unauthorized(ErrorCode.MISSING_TOKEN, "Missing access token")
        user = tokens.read_access_token(token)
        note_accepted(request.META)
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
