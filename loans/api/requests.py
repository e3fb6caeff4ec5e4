"""Bodies and query strings of the partner API, as dataclasses of the services."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from loans.consent import verification
from loans.consent.message import V1, V2, VERSIONS, Borrow, borrow_from
from loans.consent.verification import UserAuthorization
from loans.models import LoanStatus
from loans.services.borrow import BorrowRequest
from loans.services.repay import RepayRequest
from loans.transactions import TransactionStatus, TransactionType
from partner_platform.core.errors import invalid_fields
from partner_platform.core.web.pagination import MAX_CURSOR
from partner_platform.core.web.serializers import (
    AddressField,
    AmountField,
    DayField,
    DigitsField,
    IdInPathField,
    LoanIdField,
    MetadataField,
    OneOfField,
    SignatureField,
    StrictCharField,
    StrictSerializer,
    TokenIdField,
    TransactionHashField,
    Uint256TextField,
    WholeNumberField,
)
from partners.models import Partner

MAX_DURATION_SECONDS = 50 * 366 * 86_400
MAX_INSTALMENTS = 600
MAX_OFFSET = 10_000  # a cursor goes deeper, and costs the same at any depth


class VersionField(OneOfField):
    """A version of the message: a string, as in its domain."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=VERSIONS, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        version: str = super().to_internal_value(data)
        return version


class SignedMessageBody(StrictSerializer):
    """The EIP-712 message as the user signed it; uint256 values as decimal strings."""

    partner = StrictCharField(max_length=64, trim_whitespace=False, help_text="Your partner id.")
    oaidTokenId = Uint256TextField()  # noqa: N815
    amount = Uint256TextField(help_text="USDC base units.")
    partnerLoanId = LoanIdField()  # noqa: N815
    loanDuration = Uint256TextField(help_text="Seconds; 0: none.")  # noqa: N815
    numberOfInstallments = Uint256TextField(help_text="0: none.")  # noqa: N815
    platformFee = Uint256TextField(help_text="USDC base units, kept of the amount.")  # noqa: N815
    settlementAddress = AddressField(help_text="Where the rest of it goes.")  # noqa: N815
    nonce = Uint256TextField()
    deadline = Uint256TextField(help_text="Seconds since the epoch.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        return {name: str(value) for name, value in attrs.items()}


class UserAuthorizationBody(StrictSerializer):
    """The user's EIP-712 signature over the borrow."""

    # docs/consent.md

    version = VersionField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Of the domain that was signed; without it each version that the platform takes is tried.",
    )
    deadline = WholeNumberField(min_value=0, max_value=2**53, help_text="Seconds since the epoch.")
    nonce = Uint256TextField(help_text="Any number that this wallet signs once.")
    message = SignedMessageBody(
        required=False,
        allow_null=True,
        default=None,
        help_text="What was signed in version 2; with it a refusal names what has changed since.",
    )
    signature = SignatureField(help_text="Of the wallet's key (65 bytes), or what its contract takes (ERC-1271).")

    def validate(self, attrs: dict[str, Any]) -> UserAuthorization:
        if attrs["version"] == V1 and attrs["message"] is not None:
            raise serializers.ValidationError({"message": ["Goes with version 2 only."]})
        return UserAuthorization(**attrs)


class _BorrowTerms(StrictSerializer):
    """What a borrow says, and what the user signs of it."""

    oaidTokenId = TokenIdField(help_text="The user's credit line.")  # noqa: N815
    userWallet = AddressField(help_text="The OAID's owner.")  # noqa: N815
    borrowAmount = AmountField(help_text="From the platform's smallest loan ($1, if it set no other) to 2^63-1.")  # noqa: N815
    partnerLoanId = LoanIdField(help_text="Your own id of the loan, once.")  # noqa: N815
    loanDuration = WholeNumberField(  # noqa: N815
        min_value=1,
        max_value=MAX_DURATION_SECONDS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Seconds until the loan is due.",
    )
    numberOfInstallments = WholeNumberField(  # noqa: N815
        min_value=1,
        max_value=MAX_INSTALMENTS,
        required=False,
        allow_null=True,
        default=None,
        help_text="Equal parts of the principal, spread over `loanDuration`, which is then required.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Instalments are spread over the loan's duration; each is at least a base unit and a second."""
        if (instalments := attrs["numberOfInstallments"]) is not None:
            if attrs["loanDuration"] is None:
                raise serializers.ValidationError({"loanDuration": ["Required with numberOfInstallments."]})
            if instalments > min(attrs["borrowAmount"], attrs["loanDuration"]):
                raise serializers.ValidationError({"numberOfInstallments": ["More than the loan can be divided into."]})
        return attrs


class BorrowBody(_BorrowTerms):
    """A borrow on a user's credit line."""

    # Source: plan, endpoint 3. The names are the contract's.
    userAuthorization = UserAuthorizationBody(  # noqa: N815
        required=False, allow_null=True, default=None, help_text="Where the platform asks for the user's consent."
    )
    metadata = MetadataField(
        required=False, allow_null=True, default=None, help_text="Yours, at most 8 KiB; answered with the loan."
    )

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


class TypedDataBody(_BorrowTerms):
    """What a borrow will say; nonce and deadline are made where not given."""

    deadline = WholeNumberField(min_value=0, max_value=2**53, required=False)
    nonce = Uint256TextField(required=False)
    version = VersionField(required=False, help_text="Of the message; without it the newest that the platform takes.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        version = attrs.setdefault("version", verification.versions()[0])
        if version not in verification.versions():
            raise serializers.ValidationError({"version": [f"Must be {' or '.join(verification.versions())}."]})
        uncovered = [name for name in ("loanDuration", "numberOfInstallments") if attrs[name] is not None]
        if version == V1 and uncovered:
            raise serializers.ValidationError({name: [f"Only version {V2} covers it."] for name in uncovered})
        return super().validate(attrs)

    def to_borrow(self, partner: Partner) -> tuple[Borrow, str]:
        """The borrow that the user is to sign, on the partner's present terms, and the version of the message."""
        data = self.validated_data
        asked = BorrowRequest(
            oaid_token_id=data["oaidTokenId"],
            user_wallet=data["userWallet"],
            borrow_amount=data["borrowAmount"],
            partner_loan_id=data["partnerLoanId"],
            loan_duration=data["loanDuration"],
            number_of_installments=data["numberOfInstallments"],
        )
        nonce, deadline = data.get("nonce"), data.get("deadline")
        borrow = borrow_from(
            partner,
            asked,
            nonce=verification.new_nonce() if nonce is None else nonce,
            deadline=verification.default_deadline() if deadline is None else deadline,
        )
        return borrow, data["version"]


class RepayBody(StrictSerializer):
    """A repayment of a loan."""

    # Source: plan, endpoint 4.
    partnerLoanId = LoanIdField()  # noqa: N815
    repaymentAmount = AmountField(help_text="At most what the loan owes; see its payoff.")  # noqa: N815
    repaymentTxHash = TransactionHashField(  # noqa: N815
        required=False,
        allow_null=True,
        default=None,
        help_text="The USDC transfer from your settlement address that pays it; without one it is pulled.",
    )

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

    limit = DigitsField(min_value=1, max_value=100, required=False, default=10, help_text="Rows on the page.")
    offset = DigitsField(
        min_value=0, max_value=MAX_OFFSET, required=False, default=0, help_text="Rows before the page."
    )
    cursor = serializers.CharField(
        max_length=MAX_CURSOR,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The `next` of the page before.",
    )


class UserLoansQuery(PageQuery):
    """`GET /partners/user/{userWallet}/loans` (plan, endpoint 6)."""

    userWallet = AddressField()  # noqa: N815
    status = OneOfField(choices=LoanStatus.choices, required=False, default=None)


class TransactionsQuery(PageQuery):
    """`GET /partners/my/transactions` (plan, endpoint 8); the days are UTC days, both included."""

    startDate = DayField(required=False, default=None, help_text="The first UTC day.")  # noqa: N815
    endDate = DayField(required=False, default=None, help_text="The last UTC day, included.")  # noqa: N815
    type = OneOfField(choices=TransactionType.choices, required=False, default=None)
    status = OneOfField(choices=TransactionStatus.choices, required=False, default=None)

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

    oaidTokenId = IdInPathField()  # noqa: N815


class PositionIdPath(serializers.Serializer):
    """An id in a path: digits only."""

    positionId = IdInPathField()  # noqa: N815


class RepaymentIdPath(serializers.Serializer):
    """A repayment's id in a path: any text there that is no repayment of the partner's is 404."""

    repaymentId = serializers.UUIDField()  # noqa: N815


class LoanIdPath(serializers.Serializer):
    """A loan's id in a path: any text there that is none of the partner's loans is 404."""

    partnerLoanId = LoanIdField()  # noqa: N815
