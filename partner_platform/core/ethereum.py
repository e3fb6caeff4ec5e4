"""Addresses and hashes as callers send them and as we store them."""

import re

from django.core.exceptions import ImproperlyConfigured
from eth_utils.address import is_checksum_address, to_checksum_address

ADDRESS_PATTERN = r"0x[0-9a-fA-F]{40}"
HASH_PATTERN = r"0x[0-9a-fA-F]{64}"
_ADDRESS = re.compile(ADDRESS_PATTERN)
_HASH = re.compile(HASH_PATTERN)
ZERO_ADDRESS = "0x" + "0" * 40


def parse_address(value: object) -> str:
    """The EIP-55 checksummed form of an address in any case; `ValueError` says what is wrong.

    Mixed case carries a checksum, so a wrong one is a typing error and is refused (EIP-55).
    """
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError("Must be an address: 0x and 40 hex digits.")
    digits = value[2:]
    if digits != digits.lower() and digits != digits.upper() and not is_checksum_address(value):
        raise ValueError("Has a wrong EIP-55 checksum.")
    return str(to_checksum_address(value.lower()))


def configured_address(name: str, value: str) -> str:
    """The checksummed form of the address in a setting; empty stays empty. `ImproperlyConfigured` names the setting."""
    if not value:
        return ""
    try:
        return parse_address(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {value!r}: {error}") from None


def parse_hash(value: object) -> str:
    """A transaction hash in lower case; `ValueError` says what is wrong."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError("Must be a transaction hash: 0x and 64 hex digits.")
    return value.lower()
