"""What events about a partner say in `data`, as the schema describes it; `events` here writes the values."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers

from partner_platform.core.openapi.fields import BaseUnits, Timestamp
from partners.models import SuspensionScope
from partners.notices.limit_marks import LimitType


class SuspendedObject(serializers.Serializer):
    """`partner.suspended`. Why is not in it: reasons are written for staff and may name what is being looked into."""

    partnerId = serializers.CharField()
    status = serializers.CharField(help_text="`SUSPENDED`.")
    scope = serializers.ChoiceField(
        choices=SuspensionScope.values,
        help_text="`ALL`: every call is refused. `BORROWING`: borrows alone.",
    )
    suspendedAt = Timestamp()


SUSPENDED_EXAMPLE = {
    "partnerId": "partner_xyz_lending_001",
    "status": "SUSPENDED",
    "scope": "ALL",
    "suspendedAt": "2026-01-05T10:30:00Z",
}


class LimitWarningObject(serializers.Serializer):
    """`partner.limit_warning`: a borrow, or a lower limit, brought what is used to 80 % or 100 % of a limit."""

    partnerId = serializers.CharField()
    limitType = serializers.ChoiceField(choices=LimitType.choices)
    percentage = serializers.ChoiceField(choices=(80, 100), help_text="The mark that was passed.")
    limit = BaseUnits()
    used = BaseUnits(help_text="Accepted borrows included.")
    remaining = BaseUnits()
    day = serializers.DateField(allow_null=True, help_text="The UTC day of a `DAILY` limit; null for `TOTAL`.")


LIMIT_WARNING_EXAMPLE = {
    "partnerId": "partner_xyz_lending_001",
    "limitType": "DAILY",
    "percentage": 80,
    "limit": "100000000000",
    "used": "82500000000",
    "remaining": "17500000000",
    "day": "2026-01-05",
}


class ApiKeyExpiringObject(serializers.Serializer):
    """`api_key.expiring`: a key is refused from `expiresAt` on."""

    partnerId = serializers.CharField()
    prefix = serializers.CharField(help_text="The key's first 16 characters.")
    expiresAt = Timestamp()


API_KEY_EXPIRING_EXAMPLE = {
    "partnerId": "partner_xyz_lending_001",
    "prefix": "pk_xyz_live_7f3a",
    "expiresAt": "2026-01-12T10:30:00Z",
}
