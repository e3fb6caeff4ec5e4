"""What a partner may do, decided without the database."""

import datetime as dt
from collections.abc import Iterable

from rest_framework.exceptions import ErrorDetail

from audit.calls.client_address import is_within
from partner_platform.core.errors import ErrorCode, Forbidden, Unavailable, invalid_fields
from partner_platform.core.text.wording import shown
from partners.models import ApiKey, Partner, PartnerStatus, SuspensionScope

MAX_GRACE_HOURS = 168
PAUSED_RETRY_SECONDS = 60
MAX_REASON = 300


def require_active(partner: Partner, *, borrows: bool = True) -> None:
    """Raise 403 `partner_not_active` unless the partner may act; one suspended for BORROWING may where the call does
    not borrow.
    """
    if partner.status == PartnerStatus.ACTIVE:
        return
    if partner.status != PartnerStatus.SUSPENDED:
        raise Forbidden(ErrorCode.PARTNER_NOT_ACTIVE, f"Partner account is {partner.status.lower()}")
    is_wide = partner.suspension_scope == SuspensionScope.ALL
    if is_wide or borrows:
        message = "Partner account is suspended" + ("" if is_wide else " for borrowing; it may still read and repay")
        raise Forbidden(ErrorCode.PARTNER_NOT_ACTIVE, message, details={"scope": str(partner.suspension_scope)})


def require_borrowing(partner: Partner) -> None:
    """Raise 503 `borrowing_paused` while the platform takes no new borrows."""
    if partner.borrowing_paused:
        message = "New borrows are paused. Repayments are taken, and loans that were accepted are settled"
        raise Unavailable(ErrorCode.BORROWING_PAUSED, message, retry_after=PAUSED_RETRY_SECONDS)


def require_reason(reason: str) -> str:
    """The reason of an act of staff as it is kept; 400 `invalid_request` where there is none."""
    text = shown(reason.strip(), MAX_REASON)
    if not text:
        raise invalid_fields({"reason": [ErrorDetail("This field is required.", code="required")]})
    return text


def status_of(partner: Partner) -> str:
    """The status as people are shown it: `SUSPENDED for BORROWING` where it is not suspended wholly."""
    is_narrow = partner.status == PartnerStatus.SUSPENDED and partner.suspension_scope != SuspensionScope.ALL
    return f"{partner.status} for {partner.suspension_scope}" if is_narrow else str(partner.status)


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
