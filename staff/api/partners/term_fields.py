"""A partner's terms in a body: read by the same rules as everywhere (`partners.terms`), each with its JSON Schema.

The values go to the service as they came; a field here only says early, and by its name, that one is not right.
"""

# ruff: noqa: N815 - the contract's names

from typing import Any

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from partner_platform.core.ethereum import ADDRESS_PATTERN
from partner_platform.core.money import BASIS_POINTS
from partner_platform.core.web import api_versions
from partner_platform.core.web.serializers import StrictSerializer
from partners import terms
from partners.keys import LABEL_PATTERN
from partners.models import PartnerTier, RepaymentFunding

Schema = dict[str, object]
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["New Lending Platform"]}
LABEL: Schema = {"type": "string", "pattern": f"^(?:pk_)?{LABEL_PATTERN}(?:_(?:live|sandbox)_?)?$"}
AMOUNT: Schema = {
    "type": "string",
    "pattern": "^[0-9]{1,19}$",
    "format": "usdc-base-units",
    "examples": ["50000000000"],
}
FEE: Schema = {"type": "integer", "minimum": 0, "maximum": BASIS_POINTS - 1}
ADDRESS: Schema = {"type": "string", "pattern": f"^{ADDRESS_PATTERN}$", "format": "eip55-address"}
OPTIONAL_ADDRESS: Schema = {"type": "string", "pattern": f"^(?:|{ADDRESS_PATTERN})$", "format": "eip55-address"}
EMAIL: Schema = {"type": "string", "format": "email", "maxLength": 254}
URL: Schema = {"type": "string", "pattern": "^(?:$|https://)", "maxLength": 500, "format": "webhook-url"}
NETWORKS: Schema = {
    "type": "array",
    "maxItems": terms.MAX_NETWORKS,
    "items": {"type": "string", "format": "ip-network", "examples": ["203.0.113.0/24"]},
}
FLAG: Schema = {"type": "boolean"}


class TermField(serializers.Field[Any, Any, Any, Any]):
    """A term by its name in `partners.terms.FIELDS`."""

    def __init__(self, name: str, schema: Schema, *, required: bool = True, help_text: str = "") -> None:
        super().__init__(required=required, help_text=help_text)
        self._read = terms.FIELDS[name].read
        set_override(self, "field", schema)  # what `extend_schema_field` does to a class

    def to_internal_value(self, data: object) -> object:
        try:
            self._read(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return data

    def to_representation(self, value: object) -> object:
        return value


def _term(name: str, schema: Schema, help_text: str = "") -> TermField:
    return TermField(name, schema, required=False, help_text=help_text)


class TermsBody(StrictSerializer):
    """Terms to change: only what is given is."""

    partnerName = _term("partner_name", NAME)
    apiKeyPrefix = _term("key_label", LABEL, "The `nlp` in `pk_nlp_live_…` of the keys made from now on.")
    publicKey = _term("public_key", OPTIONAL_ADDRESS)
    tier = _term("tier", {"type": "string", "enum": PartnerTier.values})
    dailyBorrowLimit = _term("daily_borrow_limit", AMOUNT, "A UTC day's.")
    totalBorrowLimit = _term("total_borrow_limit", AMOUNT, "Outstanding at once.")
    platformFeePercentage = _term("platform_fee_percentage", FEE, "Basis points: 50 is 0.5 %.")
    settlementAddress = _term("settlement_address", ADDRESS, "Where all borrowed USDC goes.")
    repaymentFunding = _term("repayment_funding", {"type": "string", "enum": RepaymentFunding.values})
    apiVersion = _term("api_version", {"type": "string", "enum": api_versions.names()})
    webhookUrl = _term("webhook_url", URL, "Empty: none.")
    ipWhitelist = _term("ip_allow_list", NETWORKS, "Addresses and CIDRs; empty: from anywhere.")
    contactEmail = _term("contact_email", EMAIL)
    contactWallet = _term("contact_wallet", OPTIONAL_ADDRESS)
    kycVerified = _term("kyc_verified", FLAG)
    contractSigned = _term("contract_signed", FLAG)


class NewPartnerBody(TermsBody):
    """The terms of a new partner (plan, endpoint 9)."""

    partnerName = TermField("partner_name", NAME)
    apiKeyPrefix = TermField("key_label", LABEL, help_text="The `nlp` in `pk_nlp_live_…`.")
    dailyBorrowLimit = TermField("daily_borrow_limit", AMOUNT, help_text="A UTC day's.")
    totalBorrowLimit = TermField("total_borrow_limit", AMOUNT, help_text="Outstanding at once.")
    settlementAddress = TermField("settlement_address", ADDRESS, help_text="Where all borrowed USDC goes.")
    contactEmail = TermField("contact_email", EMAIL)
