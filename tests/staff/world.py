"""What the staff API is tried on: a partner with keys, an endpoint and a loan, and an admin who calls."""

from functools import cached_property

from partner_platform.core.openapi.operations import camel
from tests.factories import ApiKeyFactory, LoanFactory, open_lender
from tests.staff.things import things_of
from tests.support.staff_api import StaffApi, make_user, token_of

PLANS_PARTNER = {
    "partnerName": "New Lending Platform",
    "apiKeyPrefix": "nlp",
    "tier": "BASIC",
    "dailyBorrowLimit": "50000000000",
    "totalBorrowLimit": "200000000000",
    "platformFeePercentage": 75,
    "settlementAddress": "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7",
    "contactEmail": "api@newplatform.com",
    "webhookUrl": "https://newplatform.com/webhooks",
}
HERS = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"


class StaffWorld:
    """`ann` is an admin; `api` speaks for her."""

    def __init__(self) -> None:
        self.user = make_user("admin", username="ann")
        self.api = StaffApi(token_of(self.user))
        self.partner, _ = open_lender(HERS, webhook_url="https://lender.example/hooks")
        self.key = ApiKeyFactory.create(partner=self.partner)
        self.loan = LoanFactory.create(partner=self.partner, status="ACTIVE")

    @cached_property
    def things(self) -> dict[str, str]:
        """What paths name beside these, made where a test asks for it."""
        return things_of(self.partner)

    @property
    def values(self) -> dict[str, str]:
        """Of the parameters of paths."""
        return {
            "partnerId": self.partner.partner_id,
            "internalLoanId": str(self.loan.internal_loan_id),
            "keyId": str(self.key.pk),
            **{camel(name): value for name, value in self.things.items()},
        }
