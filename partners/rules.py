"""What a partner may do, decided without the database."""

import datetime as dt
from collections.abc import Iterable

from audit.calls.client_address import is_within
from partner_platform.core.errors import ErrorCode, Forbidden, invalid_fields
from partners.models import ApiKey, Partner, PartnerStatus

MAX_GRACE_HOURS = 168


def require_active(partner: Partner) -> None:
    """Raise 403 `partner_not_active` unless the partner may act."""
    if partner.status != PartnerStatus.ACTIVE:
        raise Forbidden(ErrorCode.PARTNER_NOT_ACTIVE, f"Partner account is {partner.status.lower()}")


def require_allowed_address(partner: Partner, address: str | None) -> None:
    """Raise 403 `ip_not_allowed` where the partner named its addresses and this is none of them."""
    if partner.ip_allow_list and not is_within(address, partner.ip_allow_list):
        raise Forbidden(ErrorCode.IP_NOT_ALLOWED, "IP not whitelisted")


def require_scopes(api_key: ApiKey, scopes: Iterable[str]) -> None:
    """Raise 403 `missing_scope` unless the key has all of `scopes`."""
    missing = sorted(set(scopes) - set(api_key.scopes))
    if missing:
        message = f"This API key lacks the scope {', '.join(missing)}"
        raise Forbidden(ErrorCode.MISSING_SCOPE, message, details={"missingScopes": missing})


def is_live(api_key: ApiKey, now: dt.datetime) -> bool:
    """Whether the key may be used at `now`: not revoked and not expired."""
    return api_key.revoked_at is None and (api_key.expires_at is None or api_key.expires_at > now)


def require_grace_hours(hours: int) -> None:
    """Raise 400 `invalid_request` unless an old key or secret may stay valid for so many hours."""
    if isinstance(hours, bool) or not isinstance(hours, int) or not 0 <= hours <= MAX_GRACE_HOURS:
        raise invalid_fields({"gracePeriodHours": [f"Must be a whole number of hours, 0 to {MAX_GRACE_HOURS}."]})
