"""The user's consent to a borrow: an EIP-712 signature over its terms (`loans.consent.message`), valid once.

Without it any partner could draw on any OAID whose owner it can name. A consent cannot be replayed: a partner uses a
loan id once, a wallet a nonce once (a unique constraint), and the deadline passes. The platform decides which versions
of the message it accepts (`BORROW_CONSENT_VERSIONS`): a caller cannot choose one that covers less. The signature is
always checked over the borrow as it will be made, never over values that the caller sent: those only serve to name what
differs. Source: docs/consent.md.
"""

import secrets
from collections.abc import Mapping

from django.conf import settings

from chain.lending.signatures import first_signed_by, is_signed_by_key
from loans.consent import evidence
from loans.consent.message import (
    MESSAGE_VERSIONS,
    V2,
    AgreedBorrow,
    RequestedBorrow,
    TypedMessage,
    UserAuthorization,
    borrow_from,
    message,
    typed_message,
)
from partner_platform.core import clock
from partner_platform.core.errors import Conflict, ErrorCode, Forbidden
from partners.models import Partner

DEFAULT_VALIDITY_SECONDS = 30 * 60


def require_consent(partner: Partner, terms: RequestedBorrow) -> dict[str, object] | None:
    """The proof that the user consents to this borrow, to be kept with the loan; None where none is needed nor given.

    A consent that is given is checked also where none is required. The loan must then be made for this same `partner`
    object: its terms are the ones that were signed, whatever changes meanwhile.

    Raises 403 `consent_required`, `consent_expired` or `consent_invalid`, which names what differs, and
    `ChainUnavailable` where a contract wallet cannot be asked.
    """
    given = terms.user_authorization
    if given is None:
        if settings.BORROW_CONSENT == "required":
            raise Forbidden(ErrorCode.CONSENT_REQUIRED, "The user's authorization (userAuthorization) is required")
        return None
    accepted = _versions_to_try(given)
    borrow = borrow_from(partner, terms, nonce=given.nonce, deadline=given.deadline)
    messages = {version: typed_message(borrow, version) for version in MESSAGE_VERSIONS}
    if given.message is not None and (due := messages[V2].changed_since(given.message)):
        text = f"The user signed another borrow; what differs: {', '.join(due)}"
        details = {name: [f"This borrow has {value}."] for name, value in due.items()}
        raise Forbidden(ErrorCode.CONSENT_INVALID, text, details=details)
    signed = first_signed_by(
        wallet=terms.user_wallet,
        messages=[messages[version].signable for version in accepted],
        signature=given.signature,
    )
    if signed is None:
        raise _not_signed(terms.user_wallet, given, messages, accepted)
    of_version = next(version for version in accepted if messages[version].signable is signed)
    return evidence.to_keep(messages[of_version], given)


def used() -> Conflict:
    """409: the wallet signed two loans with one nonce, and the other one came first."""
    return Conflict(ErrorCode.CONSENT_USED, "The nonce of the user's authorization was used before")


def unsigned(borrow: AgreedBorrow, version: str) -> dict[str, object]:
    """A borrow's `userAuthorization`, but for the signature."""
    authorization: dict[str, object] = {"version": version, "deadline": borrow.deadline, "nonce": str(borrow.nonce)}
    return {**authorization, "message": message(borrow, version)} if version == V2 else authorization


def versions() -> list[str]:
    """The versions of the message that the platform accepts, the newest first."""
    return sorted(settings.BORROW_CONSENT_VERSIONS, reverse=True)


def new_nonce() -> int:
    """A nonce that no wallet has used: 128 random bits."""
    return secrets.randbits(128)


def default_deadline() -> int:
    """Half an hour from now, in seconds since the epoch."""
    return int(clock.now().timestamp()) + DEFAULT_VALIDITY_SECONDS


def _versions_to_try(given: UserAuthorization) -> list[str]:
    """The versions that the signature may be of; 403 where it has expired, or names a version that is not accepted."""
    if given.deadline <= clock.now().timestamp():
        raise Forbidden(ErrorCode.CONSENT_EXPIRED, "The user's authorization has expired")
    named = V2 if given.message is not None else given.version
    if named is None:
        return versions()
    if named not in versions():
        raise _wrong_version(named, versions())
    return [named]


def _not_signed(
    wallet: str, given: UserAuthorization, messages: Mapping[str, TypedMessage], accepted: list[str]
) -> Forbidden:
    """Why the signature is of none of the accepted versions: it is of another one, or of another borrow or wallet."""
    for version in set(MESSAGE_VERSIONS) - set(accepted):
        if is_signed_by_key(wallet=wallet, message=messages[version].signable, signature=given.signature):
            return _wrong_version(version, accepted)
    return Forbidden(
        ErrorCode.CONSENT_INVALID,
        "The user's authorization is not this wallet's for this loan",
        details={"signature": ["Is not the wallet's over `message`."], "message": messages[accepted[0]].fields},
    )


def _wrong_version(signed: str, needed: list[str]) -> Forbidden:
    return Forbidden(
        ErrorCode.CONSENT_INVALID,
        f"The user's authorization is of version {signed} of the message",
        details={"version": [f"Must be {' or '.join(needed)}."]},
    )
