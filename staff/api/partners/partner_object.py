"""A partner as staff see it: every field of the plan's schema, amounts as strings, and no secret."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers

from partner_platform.core.clock import isoformat
from partner_platform.core.openapi.fields import Address, BaseUnits, Count, Success, Timestamp
from partners.models import Partner, PartnerStatus, PartnerTier, RepaymentFunding, SuspensionScope
from partners.rules import scope_of
from staff.api.common import EXAMPLE_PARTNER_ID


class StaffPartner(serializers.Serializer):
    """A partner's terms, sums and state (plan, Partner schema)."""

    partnerId = serializers.CharField()
    partnerName = serializers.CharField()
    apiKeyPrefix = serializers.CharField(help_text="The `nlp` in `pk_nlp_live_…`; of each key: `…/keys`.")
    publicKey = Address(allow_null=True)
    status = serializers.ChoiceField(choices=PartnerStatus.values)
    suspensionScope = serializers.ChoiceField(
        choices=SuspensionScope.values,
        allow_null=True,
        help_text="Of one that is suspended. BORROWING: it still reads and repays.",
    )
    statusReason = serializers.CharField(allow_null=True)
    tier = serializers.ChoiceField(choices=PartnerTier.values)
    dailyBorrowLimit = BaseUnits()
    totalBorrowLimit = BaseUnits()
    currentOutstanding = BaseUnits()
    platformFeePercentage = Count(help_text="Basis points: 50 is 0.5 %.")
    settlementAddress = Address()
    repaymentFunding = serializers.ChoiceField(choices=RepaymentFunding.values)
    webhookUrl = serializers.CharField(allow_null=True)
    ipWhitelist = serializers.ListField(child=serializers.CharField(), help_text="CIDRs; empty: from anywhere.")
    signingRequired = serializers.BooleanField()
    apiVersion = serializers.CharField()
    contactEmail = serializers.CharField()
    contactWallet = Address(allow_null=True)
    kycVerified = serializers.BooleanField()
    contractSigned = serializers.BooleanField()
    createdBy = serializers.CharField(help_text="`staff:{username}`, or `system:{command}`.")
    lastUsedAt = Timestamp(allow_null=True, help_text="To the minute.")
    totalBorrowed = BaseUnits()
    totalRepaid = BaseUnits()
    activeLoans = Count()
    repaidLoans = Count()
    createdAt = Timestamp()
    updatedAt = Timestamp()


class ChangedPartner(serializers.Serializer):
    """A partner after a change."""

    success = Success()
    partner = StaffPartner()


PARTNER_EXAMPLE = {
    "partnerId": EXAMPLE_PARTNER_ID,
    "partnerName": "New Lending Platform",
    "apiKeyPrefix": "nlp",
    "publicKey": None,
    "status": "ACTIVE",
    "suspensionScope": None,
    "statusReason": None,
    "tier": "BASIC",
    "dailyBorrowLimit": "50000000000",
    "totalBorrowLimit": "200000000000",
    "currentOutstanding": "25000000000",
    "platformFeePercentage": 75,
    "settlementAddress": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "repaymentFunding": "PROVEN",
    "webhookUrl": "https://newplatform.com/webhooks",
    "ipWhitelist": ["203.0.113.0/24"],
    "signingRequired": False,
    "apiVersion": "2026-01-05",
    "contactEmail": "api@newplatform.com",
    "contactWallet": None,
    "kycVerified": True,
    "contractSigned": True,
    "createdBy": "staff:ann",
    "lastUsedAt": "2026-01-06T08:00:00Z",
    "totalBorrowed": "150000000000",
    "totalRepaid": "125000000000",
    "activeLoans": 12,
    "repaidLoans": 87,
    "createdAt": "2026-01-05T10:30:00Z",
    "updatedAt": "2026-01-06T08:00:00Z",
}
CHANGED_EXAMPLE = {"success": True, "partner": PARTNER_EXAMPLE}


def present_partner(partner: Partner) -> dict[str, object]:
    """The fields of `StaffPartner`."""
    return {
        "partnerId": partner.partner_id,
        "partnerName": partner.partner_name,
        "apiKeyPrefix": partner.key_label,
        "publicKey": partner.public_key or None,
        "status": partner.status,
        "suspensionScope": scope_of(partner),
        "statusReason": partner.status_reason or None,
        "tier": partner.tier,
        "dailyBorrowLimit": str(partner.daily_borrow_limit),
        "totalBorrowLimit": str(partner.total_borrow_limit),
        "currentOutstanding": str(partner.current_outstanding),
        "platformFeePercentage": partner.platform_fee_percentage,
        "settlementAddress": partner.settlement_address,
        "repaymentFunding": partner.repayment_funding,
        "webhookUrl": partner.webhook_url or None,
        "ipWhitelist": partner.ip_allow_list,
        "signingRequired": partner.signing_required,
        "apiVersion": partner.api_version,
        "contactEmail": partner.contact_email,
        "contactWallet": partner.contact_wallet or None,
        "kycVerified": partner.kyc_verified,
        "contractSigned": partner.contract_signed,
        "createdBy": partner.created_by,
        "lastUsedAt": isoformat(partner.last_used_at),
        "totalBorrowed": str(partner.total_borrowed),
        "totalRepaid": str(partner.total_repaid),
        "activeLoans": partner.active_loans,
        "repaidLoans": partner.repaid_loans,
        "createdAt": isoformat(partner.created_at),
        "updatedAt": isoformat(partner.updated_at),
    }


def present_changed(partner: Partner) -> dict[str, object]:
    """The fields of `ChangedPartner`."""
    return {"success": True, "partner": present_partner(partner)}
