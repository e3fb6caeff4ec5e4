"""Addresses are taken in any case and stored in one."""

import pytest

from partner_platform.core.ethereum import parse_address, parse_hash

CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55's own example


@pytest.mark.parametrize("text", [CHECKSUMMED, CHECKSUMMED.lower(), "0x" + CHECKSUMMED[2:].upper()])
def test_an_address_in_any_case_becomes_checksummed(text: str) -> None:
    assert parse_address(text) == CHECKSUMMED


def test_mixed_case_with_a_wrong_checksum_is_a_typing_error() -> None:
    wrong = CHECKSUMMED.replace("aAeb", "AAeb")
    with pytest.raises(ValueError, match="EIP-55"):
        parse_address(wrong)


@pytest.mark.parametrize(
    "value",
    ["", "0x", CHECKSUMMED[2:], CHECKSUMMED + "0", CHECKSUMMED[:-1], CHECKSUMMED[:-1] + "g", None, 5, [CHECKSUMMED]],
)
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="40 hex digits"):
        parse_address(value)


@pytest.mark.parametrize("tail", ["\n", " ", "\x00"])
def test_nothing_may_follow_an_address_or_a_hash(tail: str) -> None:
    with pytest.raises(ValueError, match="hex digits"):
        parse_address(CHECKSUMMED + tail)
    with pytest.raises(ValueError, match="hex digits"):
        parse_hash("0x" + "ab" * 32 + tail)


def test_a_hash_becomes_lower_case() -> None:
    assert parse_hash("0x" + "AB" * 32) == "0x" + "ab" * 32


@pytest.mark.parametrize("value", ["0x" + "a" * 63, "0x" + "a" * 65, "a" * 64, None, 7])
def test_what_is_no_hash_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        parse_hash(value)
