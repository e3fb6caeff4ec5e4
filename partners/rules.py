"""What a partner may do, decided without the database."""

from partner_platform.core.errors import ErrorCode, Forbidden
from partners.models import Partner, PartnerStatus


def require_active(partner: Partner) -> None:
    """Raise 403 `partner_not_active` unless the partner may act."""
    if partner.status != PartnerStatus.ACTIVE:
        raise Forbidden(ErrorCode.PARTNER_NOT_ACTIVE, f"Partner account is {partner.status.lower()}")
