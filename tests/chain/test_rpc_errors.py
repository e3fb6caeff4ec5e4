"""What nodes say, and what it means."""

import pytest

from chain.rpc.clients import SendAnswer
from chain.rpc.errors import _MEANINGS, SendClass, classify, combine

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
    assert {text for text, _ in _MEANINGS} == set(MEANINGS)


@pytest.mark.parametrize("message", ["", "internal error", "timeout", "nonce", "the flux capacitor is cold"])
def test_an_unknown_message_is_unknown(message: str) -> None:
    assert classify(message) == SendClass.UNKNOWN


def test_what_one_endpoint_accepted_is_accepted() -> None:
    assert combine([SendClass.MALFORMED, SendClass.UNKNOWN, SendClass.ACCEPTED]) == SendClass.ACCEPTED


def test_malformed_needs_every_endpoint_to_agree() -> None:
    assert combine([SendClass.MALFORMED, SendClass.MALFORMED]) == SendClass.MALFORMED
    assert combine([SendClass.MALFORMED, SendClass.UNKNOWN]) == SendClass.UNKNOWN
    assert combine([]) == SendClass.UNKNOWN


ORDINARY = (SendClass.UNDERPRICED, SendClass.NO_FUNDS, SendClass.NO_ROOM, SendClass.NONCE_TOO_HIGH)


@pytest.mark.parametrize("meaning", [*ORDINARY, SendClass.WOULD_REVERT, SendClass.NONCE_TOO_LOW])
def test_an_endpoint_that_did_not_answer_does_not_hide_what_another_one_said(meaning: SendClass) -> None:
    assert combine([meaning, SendClass.UNKNOWN]) == meaning
    assert combine([SendClass.UNKNOWN, meaning]) == meaning


@pytest.mark.parametrize("meaning", [*ORDINARY, SendClass.MALFORMED, SendClass.UNKNOWN])
@pytest.mark.parametrize("taken", [SendClass.ACCEPTED, SendClass.ALREADY_KNOWN])
def test_no_refusal_outweighs_an_endpoint_that_has_it(meaning: SendClass, taken: SendClass) -> None:
    assert combine([meaning, taken]) == taken


def test_the_words_of_a_node_come_before_the_failure_of_a_connection() -> None:
    answer = SendAnswer()
    answer.failed("RPC endpoint one: HTTP 503")
    assert (answer.meaning, answer.error) == (SendClass.UNKNOWN, "RPC endpoint one: HTTP 503")
    answer.refused("transaction underpriced: 1 wei")
    answer.refused("insufficient funds")
    assert (answer.meaning, answer.error) == (SendClass.UNDERPRICED, "transaction underpriced: 1 wei")


def test_the_words_of_a_refusal_remain_where_another_endpoint_takes_it() -> None:
    answer = SendAnswer()
    answer.refused("insufficient funds")
    answer.accepted()
    assert (answer.meaning, answer.is_settled, answer.error) == (SendClass.ACCEPTED, True, "insufficient funds")


def test_where_it_was_taken_neither_a_failed_connection_nor_that_it_is_known_is_an_error() -> None:
    answer = SendAnswer()
    answer.failed("RPC endpoint one: HTTP 503")
    answer.refused("already known")
    assert (answer.meaning, answer.is_settled, answer.error) == (SendClass.ALREADY_KNOWN, True, "")
