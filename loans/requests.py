"""Bodies and query strings of the partner API, as dataclasses of the services."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from loans import consent
from loans.consent import Borrow, UserAuthorization
from loans.models import LoanStatus
from loans.pagination import MAX_CURSOR
from loans.services.borrow import BorrowRequest
from loans.services.repay import RepayRequest
from loans.transactions import TransactionStatus, TransactionType
from partner_platform.core.errors import invalid_fields
from partner_platform.core.serializers import (
    AddressField,
    AmountField,
    DayField,
    DigitsField,
    LoanIdField,
    MetadataField,
    SignatureField,
    StrictSerializer,
    TokenIdField,
    TransactionHashField,
    Uint256TextField,
    WholeNumberField,
)

MAX_DURATION_SECONDS = 50 * 366 * 86_400
MAX_INSTALMENTS = 600
MAX_OFFSET = 10_000  # a cursor goes deeper, and costs the same at any depth


class UserAuthorizationBody(StrictSerializer):
    """The user's EIP-712 signature (docs/consent.md)."""

    deadline = WholeNumberField(min_value=0, max_value=2**53)  # seconds since the epoch
    nonce = Uint256TextField()
    signature = SignatureField()

    def validate(self, attrs: dict[str, Any]) -> UserAuthorization:
        return UserAuthorization(**attrs)


class BorrowBody(StrictSerializer):
    """`POST /partners/borrow` (plan, endpoint 3)."""

    oaidTokenId = TokenIdField()  # noqa: N815 - the contract's names
    userWallet = AddressField()  # noqa: N815
    borrowAmount = AmountField()  # noqa: N815
    partnerLoanId = LoanIdField()  # noqa: N815
    userAuthorization = UserAuthorizationBody(required=False, allow_null=True, default=None)  # noqa: N815
    metadata = MetadataField(required=False, allow_null=True, default=None)
    loanDuration = WholeNumberField(  # noqa: N815 - seconds
        min_value=1, max_value=MAX_DURATION_SECONDS, required=False, allow_null=True, default=None
    )
    numberOfInstallments = WholeNumberField(  # noqa: N815
        min_value=1, max_value=MAX_INSTALMENTS, required=False, allow_null=True, default=None
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Instalments are spread over the loan's duration; each is at least a base unit and a second."""
        if (instalments := attrs["numberOfInstallments"]) is not None:
            if attrs["loanDuration"] is None:
                raise serializers.ValidationError({"loanDuration": ["Required with numberOfInstallments."]})
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
            metadata=data["metadata"],
            user_authorization=data["userAuthorization"],
            loan_duration=data["loanDuration"],
            number_of_installments=data["numberOfInstallments"],
        )


class TypedDataBody(StrictSerializer):
    """`POST /partners/borrow/typed-data`: what a borrow will say; nonce and deadline are made where not given."""

    oaidTokenId = TokenIdField()  # noqa: N815
    userWallet = AddressField()  # noqa: N815
    borrowAmount = AmountField()  # noqa: N815
    partnerLoanId = LoanIdField()  # noqa: N815
    deadline = WholeNumberField(min_value=0, max_value=2**53, required=False)
    nonce = Uint256TextField(required=False)

    def to_borrow(self, partner_id: str) -> Borrow:
        """The borrow that the user is to sign."""
        data = self.validated_data
        return Borrow(
            partner_id=partner_id,
            oaid_token_id=data["oaidTokenId"],
            amount=data["borrowAmount"],
            partner_loan_id=data["partnerLoanId"],
            nonce=data.get("nonce", consent.new_nonce()),
            deadline=data.get("deadline", consent.default_deadline()),
        )


class RepayBody(StrictSerializer):
    """`POST /partners/repay` (plan, endpoint 4)."""

    partnerLoanId = LoanIdField()  # noqa: N815
    repaymentAmount = AmountField()  # noqa: N815
    repaymentTxHash = TransactionHashField(required=False, allow_null=True, default=None)  # noqa: N815

    def to_request(self) -> RepayRequest:
        """The validated body."""
        data = self.validated_data
        return RepayRequest(
            partner_loan_id=data["partnerLoanId"],
            repayment_amount=data["repaymentAmount"],
            repayment_tx_hash=data["repaymentTxHash"],
        )


class PageQuery(serializers.Serializer):
    """Which page of a list: `offset` for the first rows, `cursor` (the `next` of the page before) at any depth."""

    limit = DigitsField(min_value=1, max_value=100, required=False, default=10)
    offset = DigitsField(min_value=0, max_value=MAX_OFFSET, required=False, default=0)
    cursor = serializers.CharField(max_length=MAX_CURSOR, trim_whitespace=False, required=False, default=None)


class UserLoansQuery(PageQuery):
    """`GET /partners/user/{userWallet}/loans` (plan, endpoint 6)."""

    userWallet = AddressField()  # noqa: N815
    status = serializers.ChoiceField(choices=LoanStatus.choices, required=False, default=None)


class TransactionsQuery(PageQuery):
    """`GET /partners/my/transactions` (plan, endpoint 8); the days are UTC days, both included."""

    startDate = DayField(required=False, default=None)  # noqa: N815
    endDate = DayField(required=False, default=None)  # noqa: N815
    type = serializers.ChoiceField(choices=TransactionType.choices, required=False, default=None)
    status = serializers.ChoiceField(choices=TransactionStatus.choices, required=False, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["startDate"] and attrs["endDate"] and attrs["startDate"] > attrs["endDate"]:
            raise serializers.ValidationError({"endDate": ["Is before startDate."]})
        return attrs


def refuse_pages_of_csv(query: Mapping[str, Any]) -> None:
    """CSV is everything that the filters select: 400 for what asks for a part."""
    if parts := [name for name in ("limit", "offset", "cursor") if name in query]:
        raise invalid_fields({name: ["Not with text/csv, which has all rows."] for name in parts})


class TokenIdPath(serializers.Serializer):
    """An id in a path: digits only."""

    oaidTokenId = serializers.RegexField(r"^[0-9]{1,78}$")  # noqa: N815


class PositionIdPath(serializers.Serializer):
    """An id in a path: digits only."""

    positionId = serializers.RegexField(r"^[0-9]{1,78}$")  # noqa: N815
