"""Addresses are taken in any case and stored in one."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from chain.checks import ADDRESS_SETTINGS
from partner_platform.core.ethereum import configured_address, parse_address, parse_hash

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


@pytest.mark.parametrize("text", [CHECKSUMMED, CHECKSUMMED.lower(), "0x" + CHECKSUMMED[2:].upper()])
def test_a_configured_address_in_any_case_becomes_checksummed(text: str) -> None:
    assert configured_address("USDC_ADDRESS", text) == CHECKSUMMED


def test_an_address_that_is_not_configured_stays_empty() -> None:
    assert configured_address("USDC_ADDRESS", "") == ""


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("0x12", "Must be an address: 0x and 40 hex digits."),
        (CHECKSUMMED[2:], "Must be an address: 0x and 40 hex digits."),
        (f"{CHECKSUMMED} ", "Must be an address: 0x and 40 hex digits."),
        (CHECKSUMMED.replace("aAeb", "AAeb"), "Has a wrong EIP-55 checksum."),
    ],
)
def test_a_malformed_configured_address_is_refused_by_the_name_of_its_setting(value: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        configured_address("USDC_ADDRESS", value)
    assert str(refused.value) == f"USDC_ADDRESS: {value!r}: {problem}"


def read_settings(**environment: str) -> subprocess.CompletedProcess[str]:
    """The addresses that a process of this environment sees in its settings, one a line; or why it does not start."""
    program = f"from partner_platform import settings\nfor name in {ADDRESS_SETTINGS}: print(getattr(settings, name))"
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_each_contract_address_is_checksummed_where_the_settings_are_read() -> None:
    done = read_settings(**dict.fromkeys(ADDRESS_SETTINGS, CHECKSUMMED.lower()))
    assert done.stdout.split("\n") == [CHECKSUMMED] * len(ADDRESS_SETTINGS) + [""], done.stderr
    empty = read_settings(**dict.fromkeys(ADDRESS_SETTINGS, ""))
    assert empty.stdout == "\n" * len(ADDRESS_SETTINGS), empty.stderr


def test_a_process_with_a_malformed_address_does_not_start() -> None:
    done = read_settings(PLATFORM_EXECUTOR_ADDRESS="0x12")
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("PLATFORM_EXECUTOR_ADDRESS: '0x12': Must be an address: 0x and 40 hex digits.")


def test_a_hash_becomes_lower_case() -> None:
    assert parse_hash("0x" + "AB" * 32) == "0x" + "ab" * 32


@pytest.mark.parametrize("value", ["0x" + "a" * 63, "0x" + "a" * 65, "a" * 64, None, 7])
def test_what_is_no_hash_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        parse_hash(value)
