"""The user's consent to a borrow: an EIP-712 signature over partner, OAID, amount and loan id, used once.

Without it any partner could draw on any OAID whose owner it can name. Domain: our name, the chain's id, and the
executor contract, so that a consent for one chain or deployment means nothing on another. A consent cannot be replayed:
its loan id is the partner's once, its nonce the wallet's once (a unique constraint), its deadline passes.
Source: DESIGN, Consent; docs/consent.md.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from chain.signatures import is_signed_by
from partner_platform.core import clock
from partner_platform.core.errors import Conflict, ErrorCode, Forbidden

DOMAIN_NAME = "Partner Platform"
DOMAIN_VERSION = "1"
DEFAULT_VALIDITY_SECONDS = 30 * 60
TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Borrow": [
        {"name": "partner", "type": "string"},
        {"name": "oaidTokenId", "type": "uint256"},
        {"name": "amount", "type": "uint256"},
        {"name": "partnerLoanId", "type": "string"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}


@dataclass(frozen=True, kw_only=True)
class Borrow:
    """What the user agrees to; `amount` in base units, `deadline` in seconds since the epoch."""

    partner_id: str
    oaid_token_id: int
    amount: int
    partner_loan_id: str
    nonce: int
    deadline: int


@dataclass(frozen=True, kw_only=True)
class UserAuthorization:
    """The user's signature, and what of the message the request does not say otherwise."""

    deadline: int
    nonce: int
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """As it came, to be kept with the loan: it proves the consent to anybody."""
        return {"deadline": self.deadline, "nonce": str(self.nonce), "signature": "0x" + self.signature.hex()}


def typed_data(borrow: Borrow) -> dict[str, Any]:
    """The EIP-712 message, as `eth_signTypedData_v4` takes it; uint256 values as decimal strings."""
    return {
        "types": TYPES,
        "primaryType": "Borrow",
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": settings.CHAIN_ID,
            "verifyingContract": settings.PLATFORM_EXECUTOR_ADDRESS,
        },
        "message": {
            "partner": borrow.partner_id,
            "oaidTokenId": str(borrow.oaid_token_id),
            "amount": str(borrow.amount),
            "partnerLoanId": borrow.partner_loan_id,
            "nonce": str(borrow.nonce),
            "deadline": str(borrow.deadline),
        },
    }


def sign(borrow: Borrow, private_key: str) -> UserAuthorization:
    """What a user with a key of its own answers; for the sandbox, tests and integrators' scripts."""
    signed = Account.sign_message(_signable(borrow), private_key)
    return UserAuthorization(deadline=borrow.deadline, nonce=borrow.nonce, signature=bytes(signed.signature))


def new_nonce() -> int:
    """A nonce nobody used: 128 random bits."""
    return secrets.randbits(128)


def default_deadline() -> int:
    """Half an hour from now."""
    return int(clock.now().timestamp()) + DEFAULT_VALIDITY_SECONDS


def require_none_needed() -> None:
    """Raise 403 `consent_required` where the platform demands a signature for each borrow."""
    if settings.BORROW_CONSENT == "required":
        raise Forbidden(ErrorCode.CONSENT_REQUIRED, "The user's authorization (userAuthorization) is required")


def require_signed(*, wallet: str, borrow: Borrow, signature: bytes) -> None:
    """Raise 403 `consent_expired` or `consent_invalid` unless the wallet signed this borrow, also where it need not.

    Raises `ChainUnavailable` where a contract wallet cannot be asked.
    """
    if borrow.deadline <= clock.now().timestamp():
        raise Forbidden(ErrorCode.CONSENT_EXPIRED, "The user's authorization has expired")
    if not is_signed_by(wallet=wallet, message=_signable(borrow), signature=signature):
        raise Forbidden(ErrorCode.CONSENT_INVALID, "The user's authorization is not this wallet's for this loan")


def used() -> Conflict:
    """409: the wallet signed two loans with one nonce, and the other one came first."""
    return Conflict(ErrorCode.CONSENT_USED, "The nonce of the user's authorization was used before")


def _signable(borrow: Borrow) -> SignableMessage:
    return encode_typed_data(full_message=typed_data(borrow))
