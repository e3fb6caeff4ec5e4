"""The message that a user signs to consent to a borrow: how it is asked for, and how its signature is sent."""

# ruff: noqa: N815 - the contract's names

from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from loans import rules
from loans.api.borrow_terms import TERMS_EXAMPLE, BorrowTerms
from loans.api.common import EXAMPLE_LOAN_ID, EXAMPLE_WALLET, PartnerViewSet, partner_of, returned, validated
from loans.consent import verification
from loans.consent.message import MESSAGE_VERSIONS, V1, V2, AgreedBorrow, UserAuthorization, borrow_from, typed_message
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi.fields import Address, AnyObject, BaseUnits, Count
from partner_platform.core.openapi.operations import BODY_ERRORS, OperationDoc, described
from partner_platform.core.web.serializers import (
    AddressInputField,
    LoanIdField,
    OneOfField,
    SignatureField,
    StrictCharField,
    StrictSerializer,
    Uint256TextField,
    WholeNumberField,
)
from partners.models import Partner


class VersionField(OneOfField):
    """A version of the message: a string, as in its domain."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=MESSAGE_VERSIONS, **kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        version: str = super().to_internal_value(data)
        return version


class SignedMessageBody(StrictSerializer):
    """The EIP-712 message as the user signed it; uint256 values as decimal strings."""

    partner = StrictCharField(max_length=64, trim_whitespace=False, help_text="Your partner id.")
    oaidTokenId = Uint256TextField()
    amount = Uint256TextField(help_text="USDC base units.")
    partnerLoanId = LoanIdField()
    loanDuration = Uint256TextField(help_text="Seconds; 0: none.")
    numberOfInstallments = Uint256TextField(help_text="0: none.")
    platformFee = Uint256TextField(help_text="USDC base units, kept of the amount.")
    settlementAddress = AddressInputField(help_text="Where the rest of it goes.")
    nonce = Uint256TextField()
    deadline = Uint256TextField(help_text="Seconds since the epoch.")

    def validate(self, attrs: dict[str, object]) -> dict[str, str]:
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


class TypedDataBody(BorrowTerms):
    """What a borrow will say; nonce and deadline are made where not given."""

    deadline = WholeNumberField(min_value=0, max_value=2**53, required=False)
    nonce = Uint256TextField(required=False)
    version = VersionField(required=False, help_text="Of the message; without it the newest that the platform takes.")

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        version = attrs.setdefault("version", verification.versions()[0])
        if version not in verification.versions():
            raise serializers.ValidationError({"version": [f"Must be {' or '.join(verification.versions())}."]})
        uncovered = [name for name in ("loanDuration", "numberOfInstallments") if attrs[name] is not None]
        if version == V1 and uncovered:
            raise serializers.ValidationError({name: [f"Only version {V2} covers it."] for name in uncovered})
        return super().validate(attrs)

    def to_borrow(self, partner: Partner) -> AgreedBorrow:
        """The borrow that the user is to sign, on the partner's present terms."""
        nonce, deadline = self.validated_data.get("nonce"), self.validated_data.get("deadline")
        return borrow_from(
            partner,
            self.to_request(),
            nonce=verification.new_nonce() if nonce is None else nonce,
            deadline=verification.default_deadline() if deadline is None else deadline,
        )


class SignedMessage(serializers.Serializer):
    """The message of version 2, for the borrow to name what changed since."""

    partner = serializers.CharField()
    oaidTokenId = BaseUnits()
    amount = BaseUnits()
    partnerLoanId = serializers.CharField()
    loanDuration = BaseUnits(help_text="Seconds; 0: none.")
    numberOfInstallments = BaseUnits(help_text="0: none.")
    platformFee = BaseUnits()
    settlementAddress = Address()
    nonce = BaseUnits()
    deadline = BaseUnits()


class Unsigned(serializers.Serializer):
    """`userAuthorization`, but for the signature."""

    version = serializers.ChoiceField(choices=MESSAGE_VERSIONS, help_text="Of the message.")
    deadline = Count(help_text="Seconds since the epoch.")
    nonce = BaseUnits()
    message = SignedMessage(required=False, help_text="Of version 2; what the typed data has.")


class TypedData(serializers.Serializer):
    """What the user signs."""

    typedData = AnyObject(help_text="The EIP-712 message, as `eth_signTypedData_v4` takes it.")
    userAuthorization = Unsigned()


_MESSAGE = {
    "partner": "partner_xyz_001",
    "oaidTokenId": "123",
    "amount": "5000000000",
    "partnerLoanId": EXAMPLE_LOAN_ID,
    "loanDuration": "0",
    "numberOfInstallments": "0",
    "platformFee": "25000000",
    "settlementAddress": EXAMPLE_WALLET,
    "nonce": "271828182845904523536028747135",
    "deadline": "1767612600",
}
UNSIGNED_EXAMPLE = {"version": "2", "deadline": 1767612600, "nonce": _MESSAGE["nonce"], "message": _MESSAGE}
TYPED_DATA_EXAMPLE = {
    "typedData": {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Borrow": [{"name": "nonce", "type": "uint256"}],
        },
        "primaryType": "Borrow",
        "domain": {"name": "Partner Platform", "version": "2", "chainId": 5003, "verifyingContract": EXAMPLE_WALLET},
        "message": _MESSAGE,
    },
    "userAuthorization": UNSIGNED_EXAMPLE,
}

GET_TYPED_DATA = OperationDoc(
    id="getTypedData",
    tag="Loans",
    summary="What the user signs for a borrow",
    description="The EIP-712 message of a borrow, and the `userAuthorization` to send with it, but for the signature. "
    "`nonce` and `deadline` are made where they are not given; fee and settlement address are yours as they are now.",
    body=TypedDataBody,
    body_examples={"borrow": TERMS_EXAMPLE},
    answers=(returned("The message", TypedData, TYPED_DATA_EXAMPLE),),
    errors=(*BODY_ERRORS, ErrorCode.LOAN_BELOW_MINIMUM),
)


class ConsentViewSet(PartnerViewSet):
    """The message to sign."""

    @action(detail=False, methods=["post"], url_path="borrow/typed-data")
    @described(GET_TYPED_DATA)
    def typed_data(self, request: Request) -> Response:
        """What the user signs for a borrow, and the `userAuthorization` to send with it, but for the signature."""
        body = TypedDataBody(data=request.data)
        terms = validated(body)
        rules.check_minimum(terms["borrowAmount"], settings.MIN_BORROW)
        return Response(present_typed_data(body.to_borrow(partner_of(request)), terms["version"]))


def present_typed_data(borrow: AgreedBorrow, version: str) -> dict[str, object]:
    """The fields of `TypedData`."""
    signable = typed_message(borrow, version)
    return {"typedData": signable.data, "userAuthorization": verification.unsigned(borrow, version)}
