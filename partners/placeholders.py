"""Addresses for a config file with placeholder words instead of addresses, like the plan's example. Sandbox only.

A settlement address made here is the one that the sandbox has a key for (`sandbox.keys`), so that it can be funded.
"""

import re
from typing import Any

from eth_account import Account
from eth_utils.crypto import keccak

from partners import selectors

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
# How each field's key is named in the sandbox.
_KEYS = {"settlementAddress": "settlement", "publicKey": "public", "contactWallet": "contact"}


def has_placeholder(entry: object) -> bool:
    """Whether the entry has a placeholder word instead of an address."""
    return isinstance(entry, dict) and any(_is_placeholder(entry.get(name)) for name in _KEYS)


def fill(entries: list[Any]) -> list[Any]:
    """The entries with an address for each placeholder: the known partner's own, or one made of its id."""
    return [_fill(entry) if has_placeholder(entry) else entry for entry in entries]


def _fill(entry: dict[str, object]) -> dict[str, object]:
    partner_id = str(entry.get("partnerId"))
    known = selectors.by_partner_id(partner_id) if "\0" not in partner_id else None
    own = {} if known is None else {"settlementAddress": known.settlement_address}
    made = {name: own.get(name) or _address(label, partner_id) for name, label in _KEYS.items()}
    return {name: made[name] if name in made and _is_placeholder(value) else value for name, value in entry.items()}


def _is_placeholder(value: object) -> bool:
    return isinstance(value, str) and value != "" and not _ADDRESS.fullmatch(value)


def _address(label: str, partner_id: str) -> str:
    """Deterministic, and different for each partner."""
    secret = keccak(text=f"partner-platform sandbox key: {label}:{partner_id}")
    return str(Account.from_key(secret).address)
