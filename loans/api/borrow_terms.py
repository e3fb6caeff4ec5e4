"""The terms of a borrow, as a partner sends them to borrow and to get the message that the user signs."""

# ruff: noqa: N815 - the contract's names

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from loans.api.common import EXAMPLE_LOAN_ID, EXAMPLE_WALLET
from loans.services.borrow import BorrowRequest
from partner_platform.core.web.serializers import (
    AddressInputField,
    AmountField,
    LoanIdField,
    StrictSerializer,
    TokenIdField,
    WholeNumberField,
)

MAX_DURATION_SECONDS = 50 * 366 * 86_400
MAX_INSTALMENTS = 600


class BorrowTerms(StrictSerializer):
    """What a borrow says, and what the user signs of it."""

    oaidTokenId = TokenIdField(help_text="The user's credit line.")
    userWallet = AddressInputField(help_text="The OAID's owner.")
    borrowAmount = AmountField(help_text="From the platform's smallest loan ($1, if it set no other) to 2^63-1.")
    partnerLoanId = LoanIdField(help_text="Your own id of the loan, once.")
    loanDuration = WholeNumberField(
        min_value=1,
        max_value=MAX_DURATION_SECONDS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Seconds until the loan is due.",
    )
    numberOfInstallments = WholeNumberField(
        min_value=1,
        max_value=MAX_INSTALMENTS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Equal parts of the principal, spread over `loanDuration`, which is then required.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, object]:
        """Instalments are spread over the loan's duration; each is at least a base unit and a second."""
        if (instalments := attrs["numberOfInstallments"]) is not None:
            if attrs["loanDuration"] is None:
                missing = ErrorDetail("Required with numberOfInstallments.", code="required")
                raise serializers.ValidationError({"loanDuration": [missing]})
            if instalments > min(attrs["borrowAmount"], attrs["loanDuration"]):
                raise serializers.ValidationError({"numberOfInstallments": ["More than the loan can be divided into."]})
        return attrs

    def to_request(self) -> BorrowRequest:
        """The validated body."""
        data = self.validated_data
        return BorrowRequest(
            oaid_token_id=data["oaidTokenId"],
            user_wallet=data["userWallet"],
            borrow_amount=data["borrowAmount"],
            partner_loan_id=data["partnerLoanId"],
            loan_duration=data["loanDuration"],
            number_of_installments=data["numberOfInstallments"],
            metadata=data.get("metadata"),
            user_authorization=data.get("userAuthorization"),
        )


TERMS_EXAMPLE: dict[str, Any] = {
    "oaidTokenId": 123,
    "userWallet": EXAMPLE_WALLET,
    "borrowAmount": "5000000000",
    "partnerLoanId": EXAMPLE_LOAN_ID,
}
