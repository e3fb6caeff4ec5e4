"""The message of Sign-In with Ethereum (EIP-4361), parsed strictly and written. Pure.

    {domain} wants you to sign in with your Ethereum account:
    {address}

    {statement}

    URI: {uri}
    Version: 1
    Chain ID: {chain id}
    Nonce: {nonce}
    Issued At: {time}
    Expiration Time: {time}     may be missing, as the lines below
    Not Before: {time}
    Request ID: {text}
    Resources:
    - {uri}

Lines end with a line feed. Without a statement its line is missing and the empty ones around it stay.
"""

import datetime as dt
import re
from dataclasses import dataclass

from partner_platform.core.ethereum import ADDRESS_PATTERN, parse_address

MAX_LENGTH = 4_000
NONCE_PATTERN = "[A-Za-z0-9]{8,64}"
_TEXT = r"[\x20-\x7e]"
_URI = r"[a-zA-Z][a-zA-Z0-9+.-]*:[\x21-\x7e]*"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
_MESSAGE = re.compile(
    r"(?:(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://)?(?P<domain>[\x21-\x2e\x30-\x7e]+)"
    r" wants you to sign in with your Ethereum account:\n"
    rf"(?P<address>{ADDRESS_PATTERN})\n\n"
    rf"(?:{_TEXT}+\n)?\n"
    rf"URI: (?P<uri>{_URI})\n"
    r"Version: (?P<version>[0-9]+)\n"
    r"Chain ID: (?P<chain_id>[0-9]{1,18})\n"
    rf"Nonce: (?P<nonce>{NONCE_PATTERN})\n"
    rf"Issued At: (?P<issued_at>{_TIME})"
    rf"(?:\nExpiration Time: (?P<expires_at>{_TIME}))?"
    rf"(?:\nNot Before: (?P<not_before>{_TIME}))?"
    rf"(?:\nRequest ID: {_TEXT}*)?"
    rf"(?:\nResources:(?:\n- {_URI})*)?",
    re.ASCII,
)


@dataclass(frozen=True)
class SignInMessage:
    """What a message says. `address` is checksummed; times are in UTC."""

    scheme: str
    domain: str
    address: str
    uri: str
    version: str
    chain_id: int
    nonce: str
    issued_at: dt.datetime
    expires_at: dt.datetime | None
    not_before: dt.datetime | None


def parse_message(text: str) -> SignInMessage:
    """The message in `text`; `ValueError` where it is not of the form above, or its address is not checksummed."""
    found = _MESSAGE.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None or parse_address(found["address"]) != found["address"]:
        raise ValueError("not a message of EIP-4361")
    return SignInMessage(
        scheme=(found["scheme"] or "").lower(),
        domain=found["domain"],
        address=found["address"],
        uri=found["uri"],
        version=found["version"],
        chain_id=int(found["chain_id"]),
        nonce=found["nonce"],
        issued_at=_time(found["issued_at"]),
        expires_at=_time(found["expires_at"]) if found["expires_at"] else None,
        not_before=_time(found["not_before"]) if found["not_before"] else None,
    )


def _time(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError("not a time") from error
