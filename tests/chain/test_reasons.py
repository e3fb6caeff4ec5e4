"""Reasons and messages from outside: whatever bytes they are, they are shown, stored, and stop nobody."""

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import example, given
from hypothesis import strategies as st

from chain.lending.encoding import Call
from chain.lending.revert_data import REASON_LENGTH, describe_revert, error_selector
from chain.models import Operation, OperationState, TransactionAttempt
from chain.rpc.clients import ChainUnavailable
from chain.rpc.errors import MESSAGE_LENGTH, RpcError, SendClass, classify
from chain.settlement import driver
from partner_platform.core.text.printable import printable
from tests.chain.book import Book
from tests.support.rpc_proxy import RpcProxy

CONTRACT = "0x00000000000000000000000000000000000c0de1"
ERROR = "0x08c379a0"
PANIC = "0x4e487b71"
STRANGE = {
    "not UTF-8": b"caf\xe9 closed",
    "with a NUL": b"nul\0inside",
    "a lone surrogate": b"\xed\xa0\x80",
    "that moves the cursor": b"\x1b[2J\r\n",
    "that turns the text around": "\u202eabc".encode(),
    "empty": b"",
    "plain words": b"plain words",
}
WORDS = {
    "not UTF-8": "caf\\xe9 closed",
    "with a NUL": "nul\\x00inside",
    "a lone surrogate": "\\xed\\xa0\\x80",
    "that moves the cursor": "\\x1b[2J\\r\\n",
    "that turns the text around": "\\u202eabc",
    "empty": "reverted with an empty reason",
    "plain words": "plain words",
}


def error_of(text: bytes) -> str:
    """Revert data: Solidity's `Error(string)` with these bytes."""
    return ERROR + encode(["bytes"], [text]).hex()


def word(number: int) -> str:
    return f"{number:064x}"


def is_fit(text: str, limit: int) -> bool:
    """Printable, in bounds, and such as every database stores."""
    return len(text) <= limit and text.isprintable() and text.encode("utf-8").decode("utf-8") == text


SELECTORS = st.sampled_from(
    [ERROR, PANIC, error_selector("OAID", "InsufficientCredit"), error_selector("SmartWallet", "CallFailed"), "0x"]
)
WORDS_OF_DATA = st.one_of(
    st.sampled_from([0, 1, 31, 32, 33, 64, 2**31, 2**63 - 1, 2**63, 2**64, 2**255, 2**256 - 1]).map(word),
    st.binary(max_size=70).map(bytes.hex),
)


class TestRevertData:
    @given(selector=SELECTORS, words=st.lists(WORDS_OF_DATA, max_size=6))
    @example(selector=ERROR, words=[word(2**256 - 1)])  # an offset beyond all data
    @example(selector=ERROR, words=[word(32), word(2**64)])  # a length beyond memory
    @example(selector=ERROR, words=[word(32), word(5), b"caf\xe9s".hex()])  # without its padding
    def test_any_bytes_become_a_printable_reason(self, selector: str, words: list[str]) -> None:
        reason = describe_revert(selector + "".join(words))
        assert reason
        assert is_fit(reason, REASON_LENGTH), reason

    @given(st.text(max_size=700))
    def test_any_text_a_node_sends_in_its_place_becomes_one_too(self, data: str) -> None:
        reason = describe_revert(data)
        assert reason
        assert is_fit(reason, REASON_LENGTH), reason

    @given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=REASON_LENGTH))
    def test_plain_words_stay_as_they_are(self, words: str) -> None:
        assert describe_revert(error_of(words.encode())) == words

    @pytest.mark.parametrize("name", STRANGE)
    def test_what_is_no_plain_text_is_escaped(self, name: str) -> None:
        assert describe_revert(error_of(STRANGE[name])) == WORDS[name]

    def test_a_reason_without_an_end_is_cut(self) -> None:
        assert describe_revert(error_of(b"x" * 100_000)) == "x" * (REASON_LENGTH - 1) + "…"
        assert describe_revert("0xdeadbeef" + "00" * 10_000).endswith("…")
        assert len(describe_revert("0xdeadbeef" + "00" * 10_000)) == REASON_LENGTH

    def test_a_custom_error_of_wrong_data_is_named_with_it(self) -> None:
        selector = error_selector("OAID", "InsufficientCredit")
        assert describe_revert(selector + "00") == f"InsufficientCredit ({selector}00)"


class TestPrintable:
    @given(st.one_of(st.text(), st.binary()), st.integers(1, 50))
    def test_anything_is_fit_to_be_shown(self, text: str | bytes, limit: int) -> None:
        assert is_fit(printable(text, limit), limit)

    @given(st.text(), st.integers(1, 50))
    def test_printable_text_that_fits_is_left_alone(self, text: str, limit: int) -> None:
        shown = printable(text, limit)
        assert (shown == text) is (text.isprintable() and len(text) <= limit)

    def test_a_character_is_not_cut_in_two(self) -> None:
        assert printable("€uro".encode() * 5, 6) == "€uro€…"

    def test_endless_bytes_are_not_read_to_their_end(self) -> None:
        class Endless(bytes):
            def __getitem__(self, part: Any) -> Any:
                assert part.stop < 100
                return b"x" * part.stop

        assert printable(Endless(b"x"), 10) == "x" * 9 + "…"


class TestWhatANodeSays:
    @given(st.text(max_size=5_000))
    def test_its_message_is_fit_to_be_stored(self, message: str) -> None:
        error = RpcError(-32000, message)
        assert is_fit(error.message, MESSAGE_LENGTH)
        assert is_fit(str(error), MESSAGE_LENGTH + 20)

    def test_its_meaning_is_found_in_a_long_one(self) -> None:
        error = RpcError(-32000, "\0" * 20 + "w" * 1_500 + " nonce too low")
        assert classify(error.message) == SendClass.NONCE_TOO_LOW

    @pytest.mark.django_db(transaction=True)
    def test_a_refusal_in_strange_characters_is_kept_and_stops_nobody(self, book: Book, proxy: RpcProxy) -> None:
        operation = book.borrow()
        proxy.refuse("eth_sendRawTransaction", "the \0 flux \ud800 capacitor \x1b[31m is cold", times=1)

        driver.drive_once()

        attempt = TransactionAttempt.objects.get()
        assert attempt.last_error == "the \\x00 flux \\ud800 capacitor \\x1b[31m is cold"
        assert attempt.last_error_class == SendClass.UNKNOWN
        book.settle(blocks=6)
        book.check(confirmed=[operation])


def reverting_with(data: bytes) -> str:
    """Runtime code that reverts with this data (at most 255 bytes)."""
    size = len(data)
    prefix = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xFD])  # codecopy; revert
    return "0x" + (prefix + data).hex()


def reverting_when_mined(data: bytes) -> str:
    """The same where the call costs gas money; in a simulation it succeeds."""
    size = len(data)
    prefix = bytes([0x3A, 0x60, 5, 0x57, 0, 0x5B])  # GASPRICE; JUMPI 5; STOP; JUMPDEST
    prefix += bytes([0x60, size, 0x60, len(prefix) + 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xFD])
    return "0x" + (prefix + data).hex()


@pytest.mark.django_db(transaction=True)
class TestAnOperationThatFailsForAStrangeReason:
    @pytest.mark.parametrize("name", STRANGE)
    def test_is_refused_with_it_and_the_wallet_goes_on(self, book: Book, name: str) -> None:
        data = bytes.fromhex(error_of(STRANGE[name])[2:])
        book.chain.rpc("anvil_setCode", CONTRACT, reverting_with(data))
        strange = book.enqueue([Call(CONTRACT, 0, "0x12345678")], [])
        good = book.borrow()

        driver.drive_once()
        book.settle()

        book.check(confirmed=[good], not_done={OperationState.REFUSED: [strange]})
        assert Operation.objects.get(pk=strange.pk).reason == WORDS[name]

    @pytest.mark.parametrize("name", STRANGE)
    def test_is_failed_with_it_where_it_was_mined(self, book: Book, name: str) -> None:
        data = bytes.fromhex(error_of(STRANGE[name])[2:])
        book.chain.rpc("anvil_setCode", CONTRACT, reverting_when_mined(data))
        strange = book.enqueue([Call(CONTRACT, 0, "0x12345678")], [])
        good = book.borrow()

        driver.drive_once()
        book.settle()

        book.check(confirmed=[good], not_done={OperationState.FAILED: [strange]})
        assert Operation.objects.get(pk=strange.pk).reason == WORDS[name]

    @pytest.mark.parametrize(
        "data",
        [
            "08c379a0" + word(2**256 - 1),
            "08c379a0" + word(32) + word(2**64),
            "08c379a0" + word(32) + word(500),
            "4e487b71" + "ff" * 31,
        ],
        ids=["an offset beyond the data", "a length beyond memory", "more than there is", "a panic cut short"],
    )
    def test_whose_data_is_malformed_is_refused_all_the_same(self, book: Book, data: str) -> None:
        book.chain.rpc("anvil_setCode", CONTRACT, reverting_with(bytes.fromhex(data)))
        strange = book.enqueue([Call(CONTRACT, 0, "0x12345678")], [])
        good = book.borrow()

        driver.drive_once()
        book.settle()

        book.check(confirmed=[good], not_done={OperationState.REFUSED: [strange]})
        assert data[:20] in Operation.objects.get(pk=strange.pk).reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("answer", ["0x12", "0x" + word(2**255), "not hexadecimal", "0x" + word(32) + word(0)])
def test_a_simulation_that_is_no_answer_refuses_nothing(book: Book, proxy: RpcProxy, answer: str) -> None:
    """A node's nonsense is not about the operations: they wait for a better one."""
    operation = book.borrow()
    proxy.rewrite("eth_call", lambda _: answer)
    with pytest.raises(ChainUnavailable):
        driver.drive_once()
    assert Operation.objects.get().state == OperationState.QUEUED

    driver.drive_once()
    book.settle()
    book.check(confirmed=[operation])
