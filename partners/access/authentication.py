"""Who is calling: `Authorization: Bearer pk_…` against the stored hash, in one query; then admission.

The refusals of every partner endpoint, in this order:

1. 401 `missing_api_key`, `invalid_api_key`, `wrong_environment`, `expired_api_key`; 403 `partner_not_active`
2. 403 `ip_not_allowed`
3. 401 `missing_signature`, `invalid_signature`, `request_expired`, `replayed_signature`
4. 429 `concurrency_limited`
5. 429 `rate_limited`; 503 `queue_unavailable` where Redis is down and the call moves money
6. 403 `missing_scope` (`partners.access.permissions`)

Only then the body is read. Source: plan, Authentication System; docs/api.md, Authentication.
"""

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from partner_platform.core import clock
from partner_platform.core.database.lookup import Lookup
from partner_platform.core.errors import ErrorCode, Unauthorized
from partner_platform.core.web.acceptance import note_accepted
from partners import keys
from partners.access import admission
from partners.access.permissions import borrows, moves_money
from partners.access.principal import PartnerPrincipal
from partners.models import ApiKey
from partners.rules import require_active

_key_with_partner = Lookup(lambda: ApiKey.objects.select_related("partner"), "key_hash")


class ApiKeyAuthentication(BaseAuthentication):
    """DRF authentication by API key: `request.user` is a `PartnerPrincipal`, `request.auth` the `ApiKey`.

    The partner is put on the Django request as `api_partner` as soon as the key names it, refused or not: the audit log
    reads it there. `api_key_is_live` is put there once the key has passed, for `partners.refusals.refusal_limits`.
    """

    def authenticate(self, request: Request) -> tuple[PartnerPrincipal, ApiKey]:
        api_key = _find(_presented_key(request))
        partner = api_key.partner
        request._request.api_partner = partner  # type: ignore[attr-defined]  # noqa: SLF001
        _require_live(api_key)
        require_active(partner, borrows=borrows(request))
        request._request.api_key_is_live = True  # type: ignore[attr-defined]  # noqa: SLF001
        admission.admit(request._request, api_key, moves_money=moves_money(request))  # noqa: SLF001
        note_accepted(request.META)
        return PartnerPrincipal(partner), api_key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _presented_key(request: Request) -> str:
    key = keys.presented(request.META)
    if not key:
        raise Unauthorized(ErrorCode.MISSING_API_KEY, "Missing API key")
    return key


def _find(key: str) -> ApiKey:
    parts = keys.parse(key)
    if parts is None:
        raise _invalid()
    here = settings.PLATFORM_ENVIRONMENT
    if parts.environment != here:
        raise Unauthorized(
            ErrorCode.WRONG_ENVIRONMENT, f"This API key is of the {parts.environment} environment; this is {here}"
        )
    try:
        return _key_with_partner.get(key_hash=keys.hash_key(key))
    except ApiKey.DoesNotExist:
        raise _invalid() from None


def _require_live(api_key: ApiKey) -> None:
    now = clock.now()
    if api_key.revoked_at is not None and api_key.revoked_at <= now:
        raise _invalid()
    if api_key.expires_at is not None and api_key.expires_at <= now:
        raise Unauthorized(ErrorCode.EXPIRED_API_KEY, "API key has expired")


def _invalid() -> Unauthorized:
    return Unauthorized(ErrorCode.INVALID_API_KEY, "Invalid API key")
