"""What events say in `data` beside loans and repayments, as the schema describes it."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers

from partner_platform.core.openapi.fields import Address, BaseUnits, Count, IdText, Timestamp


class HealthWarningObject(serializers.Serializer):
    """`position.health_warning`: a position comes near its liquidation, or is beyond it."""

    positionId = Count()
    positionIdString = IdText()
    userWallet = Address()
    healthFactor = serializers.FloatField(help_text="Collateral value over debt.")
    debt = BaseUnits(help_text="All that the position owes the pool, interest included.")
    liquidationDebt = BaseUnits(help_text="With a debt above this the position can be liquidated.")
    collateralValueUSD = BaseUnits(help_text="6 decimals, as USDC.")
    liquidatable = serializers.BooleanField()
    yourDebt = BaseUnits(help_text="What your open loans on the position owe, interest included.")
    partnerLoanIds = serializers.ListField(
        child=serializers.CharField(), help_text="Your open loans on it, in the order they were drawn."
    )


HEALTH_WARNING_EXAMPLE = {
    "positionId": 42,
    "positionIdString": "42",
    "userWallet": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "healthFactor": 1.282,
    "debt": "780000000",
    "liquidationDebt": "800000000",
    "collateralValueUSD": "1000000000",
    "liquidatable": False,
    "yourDebt": "500000000",
    "partnerLoanIds": ["xyz_loan_12345"],
}


class SuspendedObject(serializers.Serializer):
    """`partner.suspended`. Why is not in it: ask us."""

    partnerId = serializers.CharField()
    status = serializers.CharField(help_text="`SUSPENDED`.")
    suspendedAt = Timestamp()


SUSPENDED_EXAMPLE = {
    "partnerId": "partner_xyz_lending_001",
    "status": "SUSPENDED",
    "suspendedAt": "2026-01-05T10:30:00Z",
}


class LimitWarningObject(serializers.Serializer):
    """`partner.limit_warning`: a borrow, or a lower limit, brought what is used to 80 % or 100 % of a limit."""

    partnerId = serializers.CharField()
    limitType = serializers.ChoiceField(choices=("DAILY", "TOTAL"))
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


class TestObject(serializers.Serializer):
    """`webhook.test`: you asked for it."""

    endpointId = serializers.UUIDField(help_text="The endpoint that it is sent to, and no other one.")
    message = serializers.CharField()


TEST_EXAMPLE = {
    "endpointId": "3d9c1b77-8f0e-4c52-9d0e-6b1f0a2c4e88",
    "message": "A test event: nothing happened to a loan.",
}
