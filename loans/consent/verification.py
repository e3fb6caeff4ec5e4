"""The user's consent to a borrow: an EIP-712 signature over its terms (`loans.consent.message`), used once.

Without it any partner could draw on any OAID whose owner it can name. A consent cannot be replayed: its loan id is the
partner's once, its nonce the wallet's once (a unique constraint), its deadline passes. Which versions of the message
are taken is the platform's to say (`BORROW_CONSENT_VERSIONS`): a caller cannot choose one that covers less. The
signature is always checked over the borrow as it will be made, never over values that the caller sent: those only
serve to name what differs. Source: DESIGN, Consent; docs/consent.md.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from eth_account import Account
from eth_account.messages import SignableMessage

from chain.lending.signatures import first_signed_by, is_signed_by_key
from loans.consent.message import V2, VERSIONS, Borrow, message, signable, typed_data
from partner_platform.core import clock
from partner_platform.core.errors import Conflict, ErrorCode, Forbidden

DEFAULT_VALIDITY_SECONDS = 30 * 60


@dataclass(frozen=True, kw_only=True)
class UserAuthorization:
    """The user's signature, and what of the message the request does not say otherwise.

    `message` is what was signed, as the caller has it; `version` of the message, None where the caller does not say.
    """

    deadline: int
    nonce: int
    signature: bytes
    version: str | None = None
    message: Mapping[str, str] | None = None


def sign(borrow: Borrow, private_key: str, version: str = V2) -> dict[str, Any]:
    """The `userAuthorization` of a user with a key of its own; for the sandbox, tests and integrators' scripts."""
    signed = Account.sign_message(_signable(borrow, version), private_key)
    return {**unsigned(borrow, version), "signature": "0x" + signed.signature.hex()}


def unsigned(borrow: Borrow, version: str) -> dict[str, Any]:
    """A borrow's `userAuthorization`, but for the signature."""
    said: dict[str, Any] = {"version": version, "deadline": borrow.deadline, "nonce": str(borrow.nonce)}
    return {**said, "message": message(borrow, version)} if version == V2 else said


def versions() -> list[str]:
    """The versions of the message that are taken here, the newest first."""
    return sorted(settings.BORROW_CONSENT_VERSIONS, reverse=True)


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


def require_signed(*, wallet: str, borrow: Borrow, given: UserAuthorization) -> str:
    """The version that the wallet signed of exactly this borrow; checked also where no consent is required.

    Raises 403 `consent_expired` or `consent_invalid`, which names what differs, and `ChainUnavailable` where a
    contract wallet cannot be asked.
    """
    if borrow.deadline <= clock.now().timestamp():
        raise Forbidden(ErrorCode.CONSENT_EXPIRED, "The user's authorization has expired")
    candidates = _versions_of(given)
    if given.message is not None:
        _require_same(signed=given.message, made=message(borrow, V2))
    signables = {version: _signable(borrow, version) for version in candidates}
    found = first_signed_by(wallet=wallet, messages=signables.values(), signature=given.signature)
    if found is None:
        raise _not_signed(wallet, borrow, given, candidates)
    return next(version for version in candidates if signables[version] is found)


def used() -> Conflict:
    """409: the wallet signed two loans with one nonce, and the other one came first."""
    return Conflict(ErrorCode.CONSENT_USED, "The nonce of the user's authorization was used before")


def _versions_of(given: UserAuthorization) -> list[str]:
    """The versions that the signature may be of; 403 where the caller names one that is not taken."""
    named = V2 if given.message is not None else given.version
    if named is None:
        return versions()
    if named not in versions():
        raise _wrong_version(named, versions())
    return [named]


def _require_same(*, signed: Mapping[str, str], made: Mapping[str, str]) -> None:
    """403 naming each field in which the message that was signed is not the borrow that would be made."""
    differences = {name: [f"This borrow has {value}."] for name, value in made.items() if signed[name] != value}
    if differences:
        text = f"The user signed another borrow; what differs: {', '.join(differences)}"
        raise Forbidden(ErrorCode.CONSENT_INVALID, text, details=differences)


def _not_signed(wallet: str, borrow: Borrow, given: UserAuthorization, candidates: list[str]) -> Forbidden:
    """Why no candidate was signed, as far as the signature alone tells: a version not taken, or something differs."""
    for version in set(VERSIONS) - set(candidates):
        if is_signed_by_key(wallet=wallet, message=_signable(borrow, version), signature=given.signature):
            return _wrong_version(version, candidates)
    return Forbidden(
        ErrorCode.CONSENT_INVALID,
        "The user's authorization is not this wallet's for this loan",
        details={"signature": ["Is not the wallet's over `message`."], "message": message(borrow, candidates[0])},
    )


def _wrong_version(signed: str, needed: list[str]) -> Forbidden:
    return Forbidden(
        ErrorCode.CONSENT_INVALID,
        f"The user's authorization is of version {signed} of the message",
        details={"version": [f"Must be {' or '.join(needed)}."]},
    )


def _signable(borrow: Borrow, version: str) -> SignableMessage:
    return signable(typed_data(borrow, version))
