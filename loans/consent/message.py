"""The EIP-712 messages that a user signs to agree to a borrow, by version.

Version 1 covers partner, OAID, amount and loan id. Version 2 covers what decides the user's debt and where the money
goes as well: the duration, the number of instalments, the fee and the settlement address. Domain: our name, the
version, the chain's id and the executor contract, so that a consent for one chain, deployment or version is not valid
for another. Source: docs/consent.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from django.conf import settings
from eth_account.messages import SignableMessage, encode_typed_data

from chain.lending.signatures import digest_of
from partner_platform.core.money import fee_on
from partners.models import Partner

DOMAIN_NAME = "Partner Platform"
MESSAGE_VERSIONS = V1, V2 = "1", "2"
_DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
_FIELDS_OF = {
    V1: {
        "partner": "string",
        "oaidTokenId": "uint256",
        "amount": "uint256",
        "partnerLoanId": "string",
        "nonce": "uint256",
        "deadline": "uint256",
    },
    V2: {
        "partner": "string",
        "oaidTokenId": "uint256",
        "amount": "uint256",
        "partnerLoanId": "string",
        "loanDuration": "uint256",
        "numberOfInstallments": "uint256",
        "platformFee": "uint256",
        "settlementAddress": "address",
        "nonce": "uint256",
        "deadline": "uint256",
    },
}


@dataclass(frozen=True, kw_only=True)
class AgreedBorrow:
    """What the user agrees to; amounts in base units, `deadline` in seconds since the epoch.

    `loan_duration`, in seconds, is 0 without a due date, and `number_of_installments` without instalments.
    """

    partner_id: str
    oaid_token_id: int
    amount: int
    partner_loan_id: str
    loan_duration: int
    number_of_installments: int
    platform_fee: int
    settlement_address: str
    nonce: int
    deadline: int


@dataclass(frozen=True, kw_only=True)
class UserAuthorization:
    """The user's signature, and what of the message the request does not say otherwise.

    `message` holds the fields that were signed, as the caller knows them; `version` is that of the message, None where
    the caller names none.
    """

    deadline: int
    nonce: int
    signature: bytes
    version: str | None = None
    message: Mapping[str, str] | None = None


class RequestedBorrow(Protocol):
    """The parts of a borrow request that the user signs, with the user and the signature."""

    @property
    def user_wallet(self) -> str: ...
    @property
    def oaid_token_id(self) -> int: ...
    @property
    def borrow_amount(self) -> int: ...
    @property
    def partner_loan_id(self) -> str: ...
    @property
    def loan_duration(self) -> int | None: ...
    @property
    def number_of_installments(self) -> int | None: ...
    @property
    def user_authorization(self) -> UserAuthorization | None: ...


@dataclass(frozen=True)
class TypedMessage:
    """A borrow's message in one version; `data` is the whole of it, as `eth_signTypedData_v4` takes it."""

    data: dict[str, Any]

    @property
    def version(self) -> str:
        version: str = self.data["domain"]["version"]
        return version

    @property
    def fields(self) -> dict[str, str]:
        """The fields that this version covers; uint256 values as decimal strings."""
        fields: dict[str, str] = self.data["message"]
        return fields

    def changed_since(self, signed: Mapping[str, str]) -> dict[str, str]:
        """The fields that differ from the ones that were signed, with the values of this message."""
        return {name: value for name, value in self.fields.items() if signed[name] != value}

    @cached_property
    def signable(self) -> SignableMessage:
        """The form that is hashed and signed; made once, for hashing is slow."""
        return encode_typed_data(full_message=self.data)

    @property
    def digest(self) -> str:
        """The 32 bytes that a signature is over, as 0x-hex."""
        return "0x" + digest_of(self.signable).hex()


def borrow_from(partner: Partner, terms: RequestedBorrow, *, nonce: int, deadline: int) -> AgreedBorrow:
    """The borrow as the platform would make it now, on the partner's present terms."""
    return AgreedBorrow(
        partner_id=partner.partner_id,
        oaid_token_id=terms.oaid_token_id,
        amount=terms.borrow_amount,
        partner_loan_id=terms.partner_loan_id,
        loan_duration=terms.loan_duration or 0,
        number_of_installments=terms.number_of_installments or 0,
        platform_fee=fee_on(terms.borrow_amount, partner.platform_fee_percentage),
        settlement_address=partner.settlement_address,
        nonce=nonce,
        deadline=deadline,
    )


def domain(version: str) -> dict[str, Any]:
    """The EIP-712 domain of this deployment."""
    return {
        "name": DOMAIN_NAME,
        "version": version,
        "chainId": settings.CHAIN_ID,
        "verifyingContract": settings.PLATFORM_EXECUTOR_ADDRESS,
    }


def message(borrow: AgreedBorrow, version: str) -> dict[str, str]:
    """The fields that this version covers; uint256 values as decimal strings."""
    values = {
        "partner": borrow.partner_id,
        "oaidTokenId": str(borrow.oaid_token_id),
        "amount": str(borrow.amount),
        "partnerLoanId": borrow.partner_loan_id,
        "loanDuration": str(borrow.loan_duration),
        "numberOfInstallments": str(borrow.number_of_installments),
        "platformFee": str(borrow.platform_fee),
        "settlementAddress": borrow.settlement_address,
        "nonce": str(borrow.nonce),
        "deadline": str(borrow.deadline),
    }
    return {name: values[name] for name in _FIELDS_OF[version]}


def typed_message(borrow: AgreedBorrow, version: str) -> TypedMessage:
    """The message of the borrow in this version, for this deployment."""
    return assembled(domain=domain(version), message=message(borrow, version))


def assembled(*, domain: dict[str, Any], message: dict[str, str]) -> TypedMessage:
    """The message with its domain, whose version decides which fields it has."""
    borrow_type = [{"name": name, "type": kind} for name, kind in _FIELDS_OF[domain["version"]].items()]
    return TypedMessage(
        {
            "types": {"EIP712Domain": _DOMAIN_TYPE, "Borrow": borrow_type},
            "primaryType": "Borrow",
            "domain": domain,
            "message": message,
        }
    )
