"""A signature that cannot be one recovers nobody, whatever is wrong with it."""

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from chain.lending.signatures import _recover

MESSAGE = encode_defunct(text="a borrow")
SIGNER = Account.from_key("0x" + "11" * 32)
GOOD = bytes(SIGNER.sign_message(MESSAGE).signature)


def test_the_signer_is_recovered() -> None:
    assert _recover(MESSAGE, GOOD) == SIGNER.address


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\x00",
        GOOD[:-1] + b"\x05",
        bytes(64) + GOOD[-1:],
        b"\xff" * 64 + GOOD[-1:],
        GOOD[:32] + bytes(32) + GOOD[-1:],
        b"\x05" + bytes(31) + GOOD[32:],
    ],
    ids=["empty", "short", "long", "v of 5", "r and s of 0", "r and s too large", "s of 0", "r on no point"],
)
def test_what_is_no_signature_recovers_nobody(signature: bytes) -> None:
    assert _recover(MESSAGE, signature) != SIGNER.address


@pytest.mark.parametrize("signature", [GOOD[:-1] + b"\x05", bytes(64) + GOOD[-1:], b"\xff" * 64 + GOOD[-1:]])
def test_what_the_library_refuses_is_nobody_and_no_error(signature: bytes) -> None:
    assert _recover(MESSAGE, signature) is None
