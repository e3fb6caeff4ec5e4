"""Wallets of staff: which user a signed message is of, and who may link a wallet to a user."""

import datetime as dt
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError
from eth_account.messages import encode_defunct

from audit.services import record_change
from authority.acting import Staff, needs
from authority.rights import Right
from chain.lending.signatures import is_signed_by_key
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Forbidden, invalid_fields
from partner_platform.core.ethereum import parse_address
from staff.access import nonces
from staff.access.api_sessions import end_api_sessions
from staff.access.siwe import SignInMessage
from staff.models import StaffWallet

CLOCK_SKEW = dt.timedelta(seconds=60)


def problems_of(message: SignInMessage) -> list[str]:
    """Why a message is not for us, or not for now; empty where it is. The signature is another question."""
    return list(_problems(message, clock.now()))


def _problems(message: SignInMessage, now: dt.datetime) -> Iterator[str]:
    schemes = {"https", "http"} if settings.IS_SANDBOX else {"https"}
    if message.domain not in settings.STAFF_SIGN_IN_DOMAINS or message.scheme not in {"", *schemes}:
        yield "Its domain is not ours."
    if not _is_at(message.uri, message.domain, schemes):
        yield "Its URI is not of its domain."
    if message.version != "1":
        yield "Its version is not 1."
    if message.chain_id != settings.CHAIN_ID:
        yield f"Its chain id is not {settings.CHAIN_ID}."
    if not nonces.is_valid_nonce(message.nonce):
        yield "Its nonce is not ours, or older than ten minutes."
    oldest = now - dt.timedelta(seconds=nonces.VALID_SECONDS) - CLOCK_SKEW
    if not oldest <= message.issued_at <= now + CLOCK_SKEW:
        yield "It was not issued within the last ten minutes."
    if message.expires_at is not None and message.expires_at <= now:
        yield "It has expired."
    if message.not_before is not None and message.not_before > now:
        yield "It is not valid yet."


def _is_at(uri: str, domain: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.netloc == domain and parts.scheme in schemes


def is_signed(message: SignInMessage, text: str, signature: bytes) -> bool:
    """Whether the key of the message's address signed its text (EIP-191). Contract wallets cannot sign in."""
    return is_signed_by_key(wallet=message.address, message=encode_defunct(text=text), signature=signature)


def user_of_wallet(address: str) -> User | None:
    """The user whom the checksummed address is linked to."""
    wallet = StaffWallet.objects.select_related("user").filter(address=address).first()
    return None if wallet is None else wallet.user


@needs(Right.MANAGE_STAFF)
def link_wallet(*, user: User, address: str, actor: str) -> StaffWallet:
    """Let the user sign in with this wallet. Audited.

    Raises 403 `permission_denied` unless the actor is a superuser (or the platform itself, as in the sandbox), for a
    wallet is a way in as a password is; 400 naming `address` where it is malformed or linked already.
    """
    _require_superuser(actor)
    try:
        checksummed = parse_address(address)
    except ValueError as error:
        raise invalid_fields({"address": [str(error)]}) from error

    def link() -> StaffWallet:
        wallet = StaffWallet(user=user, address=checksummed, linked_by=actor)
        wallet.save(force_insert=True)
        _record(actor, "staff.wallet_linked", user, after={"wallet": checksummed})
        return wallet

    try:
        return run_in_transaction(link)
    except IntegrityError as error:
        raise invalid_fields({"address": ["Is linked to a user already."]}) from error


@needs(Right.MANAGE_STAFF)
def unlink_wallet(*, wallet: StaffWallet, actor: str) -> None:
    """Take this way in from the user and end their sessions of the API: whoever had the wallet may have opened one.

    Audited. Raises 403 as `link_wallet`.
    """
    _require_superuser(actor)

    def unlink() -> None:
        if StaffWallet.objects.filter(pk=wallet.pk).delete()[0]:
            _record(actor, "staff.wallet_unlinked", wallet.user, before={"wallet": wallet.address})
            end_api_sessions(user=wallet.user, actor=actor, because="wallet unlinked")

    run_in_transaction(unlink)


def _record(actor: str, action: str, user: User, **values: dict[str, object]) -> None:
    record_change(actor=actor, action=action, target=f"staff:{user.get_username()}"[:120], **values)


def _require_superuser(actor: str) -> None:
    if not isinstance(actor, Staff):
        return  # the platform itself: `needs` refuses a text that says it is staff
    if not User.objects.filter(username=actor.username, is_superuser=True, is_active=True).exists():
        raise Forbidden(ErrorCode.PERMISSION_DENIED, "Only a superuser gives or takes a way to sign in")
