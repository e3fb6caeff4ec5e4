"""What nodes say, and what it means."""

import pytest

from chain.rpc_errors import LISTED_MESSAGES, SendClass, classify, combine

MEANINGS = {
    "nonce too low": SendClass.NONCE_TOO_LOW,
    "nonce too high": SendClass.NONCE_TOO_HIGH,
    "already known": SendClass.ALREADY_KNOWN,
    "already imported": SendClass.ALREADY_KNOWN,
    "replacement transaction underpriced": SendClass.UNDERPRICED,
    "transaction underpriced": SendClass.UNDERPRICED,
    "max fee per gas less than block base fee": SendClass.UNDERPRICED,
    "insufficient funds": SendClass.NO_FUNDS,
    "exceeds block gas limit": SendClass.NO_ROOM,
    "env.block.gas_limit": SendClass.NO_ROOM,
    "intrinsic gas too low": SendClass.MALFORMED,
    "intrinsic gas too high": SendClass.MALFORMED,
    "insufficient gas for l1cost": SendClass.NO_ROOM,
    "account limit exceeded": SendClass.NO_ROOM,
    "in-flight transaction limit reached": SendClass.NO_ROOM,
    "invalid sender": SendClass.MALFORMED,
    "oversized data": SendClass.MALFORMED,
    "invalid chain id": SendClass.MALFORMED,
    "execution reverted": SendClass.WOULD_REVERT,
}
WRAPPINGS = [
    "{}",
    "err: {}; rejected",
    "[rpc] failed to send: {}: next nonce 7, tx nonce 6",
    "{} for gas * price + value",
]


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(("message", "meaning"), MEANINGS.items())
def test_a_listed_message_is_known_however_it_is_wrapped(message: str, meaning: SendClass, wrapping: str) -> None:
    assert classify(wrapping.format(message)) == meaning
    assert classify(wrapping.format(message).upper()) == meaning


def test_every_listed_message_is_tested() -> None:
    assert set(LISTED_MESSAGES) == set(MEANINGS)


@pytest.mark.parametrize("message", ["", "internal error", "timeout", "nonce", "the flux capacitor is cold"])
def test_an_unknown_message_is_unknown(message: str) -> None:
    assert classify(message) == SendClass.UNKNOWN


def test_what_one_endpoint_accepted_is_accepted() -> None:
    assert combine([SendClass.MALFORMED, SendClass.UNKNOWN, SendClass.ACCEPTED]) == SendClass.ACCEPTED


def test_malformed_needs_every_endpoint_to_agree() -> None:
    assert combine([SendClass.MALFORMED, SendClass.MALFORMED]) == SendClass.MALFORMED
    assert combine([SendClass.MALFORMED, SendClass.UNKNOWN]) == SendClass.UNKNOWN
    assert combine([]) == SendClass.UNKNOWN
