"""Whatever is open for long is told of, once, at ERROR, with the reason; and counted."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from chain import selectors, services
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, TransactionState, WalletStatus
from chain.rpc.clients import ChainUnavailable
from chain.settlement import driver, overdue, recovery, silence
from chain.settlement.engine import Engine
from partner_platform.core import metrics
from tests.chain.book import Book, wallet
from tests.support.commands import type_command
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "eth_sendRawTransaction"
NOTHING = "0x" + "00" * 32
UNLISTED = [
    "tx fee (2.50 ether) exceeds the configured cap (1.00 ether)",
    "transaction gas limit too high (cap: 16777216, tx: 20000000)",
    "only replay-protected (EIP-155) transactions allowed over RPC",
]


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    """Nothing is known of another test's chain."""
    overdue._reported_at.clear()
    silence._known = silence._Known()
    yield
    silence._known = silence._Known()


@pytest.fixture
def soon(settings: Settings) -> None:
    """20 blocks are long, and each look is a look."""
    settings.CHAIN_OVERDUE_BLOCKS = 20


def errors(caplog: pytest.LogCaptureFixture, *, of: str = "chain.settlement.overdue") -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR" and record.name == of]


def steps(book: Book, count: int) -> None:
    """A driver's pass for each new block."""
    for _ in range(count):
        driver.drive_once()
        book.chain.mine()


def status() -> str:
    out = io.StringIO()
    type_command("settlement", "status", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("words", UNLISTED)
def test_a_refusal_that_nobody_listed_is_told_once_with_its_words(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    proxy.refuse(SEND, words, times=None)
    operation = book.borrow()
    steps(book, 20)
    assert errors(caplog) == []  # not yet long

    steps(book, 60)

    [told, of_its_transaction] = errors(caplog)
    assert told.startswith("1 operation is open for up to 30 blocks, BUNDLED: nonce 0 is SIGNED; PAYLOAD 0x")
    assert f"answered UNKNOWN: {words} ({operation.key})" in told
    assert of_its_transaction.startswith("a transaction is open for 30 blocks, nonce 0 is SIGNED; PAYLOAD 0x")
    told_of = {state: number for state, number in overdue.count_overdue().items() if number}
    assert told_of == {"BUNDLED": 1, "TRANSACTION": 1}
    assert f"open for long: {operation.key} BUNDLED, nonce 0 is SIGNED" in status()


def test_what_is_settled_in_time_is_never_told_of(book: Book, soon: None, caplog: pytest.LogCaptureFixture) -> None:
    operation = book.borrow()
    steps(book, 3)
    book.act_on_what_is_final()
    steps(book, 60)
    assert Operation.objects.get().acknowledged is True
    assert errors(caplog) == []
    assert operation.key not in status()
    assert sum(overdue.count_overdue().values()) == 0


def test_the_age_is_counted_from_when_it_was_first_seen_open(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.swallow(SEND, NOTHING, times=None)
    book.borrow()
    driver.drive_once()
    since = Operation.objects.get().open_since_block
    assert since is None or since == book.chain.block_number()
    overdue._reported_at.clear()
    driver.drive_once()
    assert Operation.objects.get().open_since_block == book.chain.block_number()
    assert ChainTransaction.objects.get().open_since_block == book.chain.block_number()
    book.chain.mine(20)
    overdue._reported_at.clear()
    driver.drive_once()
    assert errors(caplog) == []
    book.chain.mine()
    overdue._reported_at.clear()
    driver.drive_once()
    assert [message.partition(",")[0] for message in errors(caplog)] == [
        "1 operation is open for up to 21 blocks",
        "a transaction is open for 21 blocks",
    ]


def test_it_is_looked_for_once_in_ten_blocks(book: Book, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(overdue, "report_overdue", lambda engine: looked.append(engine.require_head().number))
    first = book.chain.block_number()
    for _ in range(25):
        engine.read_head()
        overdue.report_overdue_if_due(engine)
        book.chain.mine()
    assert looked == [first, first + 10, first + 20]


def test_a_look_that_finds_nothing_costs_five_queries_whatever_is_settled(
    book: Book, soon: None, engine: Engine
) -> None:
    for _ in range(3):
        book.borrow()
    book.chain.mine(20)
    engine.read_head()
    overdue.report_overdue(engine)
    Operation.objects.update(acknowledged=True, state=OperationState.CONFIRMED)
    with CaptureQueriesContext(connection) as queries:
        overdue.report_overdue(engine)
    assert len(queries) == 5


def test_only_what_was_told_of_is_marked_so(book: Book, soon: None, engine: Engine) -> None:
    old, young = book.borrow(), book.borrow()
    book.chain.mine(21)
    engine.read_head()
    head = engine.require_head().number
    Operation.objects.filter(pk=old.pk).update(open_since_block=head - 21)
    Operation.objects.filter(pk=young.pk).update(open_since_block=head - 20)
    overdue.report_overdue(engine)
    assert list(Operation.objects.filter(overdue_told=True).values_list("key", flat=True)) == [old.key]


def test_an_error_in_the_look_stops_no_driver(
    book: Book, soon: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(overdue, "overdue_operations_query", lambda _head: 1 / 0)
    operation = book.borrow()
    steps(book, 4)
    book.check(confirmed=[operation])
    assert errors(caplog) == ["what is open for long could not be reported"]


# --- reasons ---


def tell(book: Book, blocks: int = 21) -> None:
    """Time for a look at what is there now, and one after it became long."""
    for _ in range(2):
        overdue._reported_at.clear()
        driver.drive_once()
        book.chain.mine(blocks)
    overdue._reported_at.clear()
    driver.drive_once()


def test_operations_that_wait_for_the_same_are_told_in_one_line(
    book: Book, soon: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "KEYS_PER_LINE", 3)
    driver.drive_once()
    services.freeze_wallets(reason="reconciliation: account usdc is 5, adds up to 4")
    operations = book.borrows(5)
    tell(book)
    named = ", ".join(operation.key for operation in operations[:3])
    [told] = errors(caplog)
    assert told == (
        f"5 operations are open for up to 21 blocks, QUEUED: wallet {wallet().address} is FROZEN: reconciliation:"
        f" account usdc is 5, adds up to 4 ({named} and 2 more)"
    )
    assert Operation.objects.filter(overdue_told=True).count() == 5


def test_without_a_key_that_is_the_reason(
    book: Book, soon: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    driver.drive_once()
    settings.PLATFORM_PRIVATE_KEY = ""
    operation = book.borrow()
    tell(book)
    [told] = errors(caplog)
    why = "nothing can be signed: PLATFORM_PRIVATE_KEY is not set"
    assert told == f"1 operation is open for up to 21 blocks, QUEUED: {why} ({operation.key})"


def test_a_market_above_the_cap_is_the_reason(book: Book, soon: None, caplog: pytest.LogCaptureFixture) -> None:
    driver.drive_once()
    PlatformWallet.objects.update(fee_cap_wei=1)
    operation = book.borrow()
    tell(book)
    [told] = errors(caplog)
    assert " QUEUED: the base fee of " in told
    assert told.endswith(f" wei is above the cap of 1 wei ({operation.key})")


def test_what_is_queued_behind_transactions_names_the_first_of_them_and_its_answer(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture
) -> None:
    driver.drive_once()
    PlatformWallet.objects.update(max_in_flight=1)
    proxy.refuse(SEND, UNLISTED[0], times=None)
    book.borrow()
    driver.drive_once()
    behind = book.borrow()
    tell(book)
    [told] = [message for message in errors(caplog) if behind.key in message]
    assert "QUEUED: queued behind 1 transactions, as many as may be in flight; the first: nonce 0 is SIGNED" in told
    assert f"answered UNKNOWN: {UNLISTED[0]}" in told


def test_a_later_nonce_names_the_one_that_it_waits_behind(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.refuse(SEND, UNLISTED[0], times=None)
    book.borrow()
    driver.drive_once()
    later = book.borrow()
    driver.drive_once()
    tell(book)
    [told] = [message for message in errors(caplog) if later.key in message]
    assert "BUNDLED: it waits behind nonce 0; there PAYLOAD 0x" in told
    assert f"answered UNKNOWN: {UNLISTED[0]}" in told


def test_a_fee_above_the_cap_is_the_reason(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.swallow(SEND, NOTHING, times=None)
    operation = book.borrow()
    driver.drive_once()
    best = ChainTransaction.objects.get().attempts.get()
    PlatformWallet.objects.update(fee_cap_wei=best.max_fee_per_gas_wei)
    tell(book)
    [told] = [message for message in errors(caplog) if operation.key in message]
    assert "sent " in told
    assert "was taken by a node" in told
    assert f"a higher fee is above the cap of {best.max_fee_per_gas_wei} wei" in told


def test_words_of_a_node_are_shown_as_one_printable_line(
    book: Book, soon: None, caplog: pytest.LogCaptureFixture, engine: Engine
) -> None:
    operation = book.borrow()
    transaction = ChainTransaction.objects.create(
        wallet=engine.wallet, nonce=0, gas_limit=1, state=TransactionState.SIGNED, open_since_block=0
    )
    transaction.attempts.create(
        raw="0x",
        tx_hash=NOTHING,
        max_fee_per_gas_wei=1,
        max_priority_fee_per_gas_wei=1,
        last_error="a\nb\x1b[31m",
        last_error_class="UNKNOWN",
    )
    Operation.objects.filter(pk=operation.pk).update(
        state=OperationState.BUNDLED, transaction=transaction, open_since_block=0
    )
    engine.read_head()
    overdue.report_overdue(engine)
    [told] = [message for message in errors(caplog) if operation.key in message]
    assert "answered UNKNOWN: a\\nb\\x1b[31m" in told


def test_a_noop_that_carries_nothing_is_told_of_too(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture
) -> None:
    driver.drive_once()
    PlatformWallet.objects.update(next_nonce=1)  # a gap, which the next driver closes
    proxy.refuse(SEND, UNLISTED[0], times=None)
    tell(book)
    [told] = errors(caplog)
    assert told.startswith("a transaction is open for 21 blocks, nonce 0 is SIGNED; NOOP 0x")
    assert f"answered UNKNOWN: {UNLISTED[0]}" in told
    assert overdue.count_overdue()["TRANSACTION"] == 1


def test_a_final_state_that_its_owner_does_not_act_on_is_told_with_what_stops_it(
    book: Book, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    operation = book.borrow()
    steps(book, 3)
    why = "position 7: the pool says 5 + 0 after block 3, the ledger 4 + 0"
    for _ in range(2):
        services.put_off(operation=Operation.objects.get(), why=why)
    tell(book)
    [told] = errors(caplog)
    outcome = f"CONFIRMED: its owner could not act on it: {why} (tries: 2)"
    assert told == f"1 operation is open for up to 21 blocks, {outcome} ({operation.key})"
    assert overdue.count_overdue()["CONFIRMED"] == 1
    assert selectors.put_off_count() == 1
    assert f"open for long: {operation.key} CONFIRMED, its owner could not act on it: position 7" in status()
    assert services.acknowledge(operation=Operation.objects.get())
    assert (sum(overdue.count_overdue().values()), selectors.put_off_count()) == (0, 0)


def test_a_final_state_begins_a_new_age_and_is_told_of_by_itself(
    book: Book, soon: None, proxy: RpcProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.refuse(SEND, UNLISTED[0], times=None)
    operation = book.borrow()
    tell(book)
    assert len([message for message in errors(caplog) if operation.key in message]) == 1
    proxy.heal()
    steps(book, 3)
    final = Operation.objects.get()
    assert (final.state, final.overdue_told) == (OperationState.CONFIRMED, False)
    tell(book)
    assert [message for message in errors(caplog) if "its owner could not act on it: it did not try yet" in message]


def test_what_a_reorg_undid_and_nobody_took_back_is_told_of(
    book: Book, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    operation = book.borrow()
    steps(book, 3)
    book.act_on_what_is_final()
    Operation.objects.update(reopened=True)
    services.put_off(operation=Operation.objects.get(), why="M2: it was repaid before")
    tell(book)
    [told] = errors(caplog)
    why = "a reorg undid it, and its owner could not take that back: M2: it was repaid before (tries: 1)"
    assert told == f"1 operation is open for up to 21 blocks, CONFIRMED: {why} ({operation.key})"


def test_what_needs_review_was_told_when_it_happened(book: Book, soon: None, caplog: pytest.LogCaptureFixture) -> None:
    book.borrow()
    Operation.objects.update(state=OperationState.NEEDS_REVIEW)
    tell(book)
    assert errors(caplog) == []


def test_status_lists_what_is_open_for_long_up_to_a_page(book: Book, soon: None) -> None:
    driver.drive_once()
    services.freeze_wallets(reason="a drill")
    book.borrows(23)
    tell(book)
    shown = status()
    assert shown.count("open for long: operation-") == 20
    assert "open for long: 3 more" in shown


def test_another_wallets_transaction_is_told_of_by_whoever_looks(
    book: Book, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    driver.drive_once()
    other = PlatformWallet.objects.create(
        address="0x" + "1" * 40, chain_id=wallet().chain_id, fee_cap_wei=1, status=WalletStatus.ACTIVE
    )
    ChainTransaction.objects.create(wallet=other, nonce=5, gas_limit=1, state=TransactionState.BROADCAST)
    tell_of_first(book)
    assert [message.partition(",")[0] for message in errors(caplog)] == ["a transaction is open for 21 blocks"]


def tell_of_first(book: Book) -> None:
    for _ in range(3):
        overdue._reported_at.clear()
        engine = driver._take_lease(PlatformWallet.objects.order_by("created_at").first())
        assert engine is not None
        recovery.recover(engine)
        overdue.report_overdue_if_due(engine)
        engine.lease.release()
        book.chain.mine(21)


# --- a chain without blocks ---


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`moment[0]` is the time, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(silence.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    return now


def shown_without_news() -> float:
    [line] = [line for line in metrics.build().decode().splitlines() if line.startswith("chain_seconds_without_news")]
    return float(line.rpartition(" ")[2])


def test_a_chain_that_stands_still_is_told_once_and_again_only_after_it_went_on(
    chain: Any, moment: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for at, number in ((0, 7), (119, 7), (120, 7), (500, 7), (501, 8), (620, 8), (621, 8)):
        moment[0] = 1000.0 + at
        silence.note_head(number)
    assert errors(caplog, of="chain.settlement.silence") == [
        "the chain stands still: block 7 is the newest for 120 seconds",
        "the chain stands still: block 8 is the newest for 120 seconds",
    ]
    assert silence.seconds_without_news() == 120
    assert shown_without_news() == 120


def test_a_process_that_looks_seldom_takes_its_own_pause_for_no_standstill(
    chain: Any, moment: Any, caplog: pytest.LogCaptureFixture
) -> None:
    silence.note_head(7)
    moment[0] += 900
    silence.note_failure(ChainUnavailable())
    assert errors(caplog, of="chain.settlement.silence") == []
    silence.note_head(400)
    assert errors(caplog, of="chain.settlement.silence") == []
    assert silence.seconds_without_news() == 0


def test_a_chain_that_does_not_answer_is_told_once(chain: Any, moment: Any, caplog: pytest.LogCaptureFixture) -> None:
    silence.note_head(7)
    for _ in range(5):
        moment[0] += 60
        silence.note_failure(ChainUnavailable())
    assert errors(caplog, of="chain.settlement.silence") == [
        "the chain does not answer (The chain cannot be reached), last seen at block 7, for 120 seconds"
    ]
    assert shown_without_news() == 240  # since it was first asked in vain
    silence.note_head(8)
    assert silence.seconds_without_news() == 0
    assert shown_without_news() == 0


def test_of_several_processes_one_tells(chain: Any, moment: Any, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        silence._known = silence._Known()
        for _ in range(2):
            silence.note_head(7)
            moment[0] += 200
    assert len(errors(caplog, of="chain.settlement.silence")) == 1


def test_where_blocks_come_only_with_transactions_nothing_is_told(
    chain: Any, moment: Any, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHAIN_SILENT_SECONDS = 0
    for _ in range(3):
        silence.note_head(7)
        moment[0] += 10_000
    assert errors(caplog, of="chain.settlement.silence") == []


def test_the_driver_notes_every_look_and_every_failure(
    book: Book, proxy: RpcProxy, moment: Any, caplog: pytest.LogCaptureFixture
) -> None:
    driver.drive_once()
    moment[0] += 130
    driver.drive_once()
    assert errors(caplog, of="chain.settlement.silence") == [
        f"the chain stands still: block {book.chain.block_number()} is the newest for 130 seconds"
    ]
