"""F45, F46: what the watcher believes of nodes, and how what it missed is found."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.events import second_reading, watcher
from chain.models import ChainEvent, WatchCursor, WatchedBlock
from chain.rpc import clients
from chain.settlement import driver
from chain.signals import rollback_begins
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from loans.services import follow
from loans.services.settle import settle_due
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.support import books
from tests.support.actors import repay_on_chain
from tests.support.chain import FINAL_AFTER_BLOCKS, Chain
from tests.support.rpc_proxy import RpcProxy
from tests.support.signals import heard_by

pytestmark = pytest.mark.django_db(transaction=True)

LOGS = "eth_getLogs"
BLOCK = "eth_getBlockByNumber"
FILTERS = 3


@pytest.fixture
def proxy(chain: Chain, settings: Settings) -> Iterator[RpcProxy]:
    with RpcProxy(chain.url) as proxy:
        settings.CHAIN_RPC_URLS = [proxy.url]
        clients.get_client.cache_clear()
        yield proxy
    clients.get_client.cache_clear()


@pytest.fixture
def second(chain: Chain, proxy: RpcProxy, settings: Settings) -> Iterator[RpcProxy]:
    """Another endpoint beside the proxy's."""
    with RpcProxy(chain.url) as second:
        settings.CHAIN_RPC_URLS = [proxy.url, second.url]
        clients.get_client.cache_clear()
        yield second
    clients.get_client.cache_clear()


@pytest.fixture
def borrowed(chain: Chain, proxy: RpcProxy, lender: PartnerClient, settle: Callable[[], None]) -> PartnerLoan:
    """A loan of $1,000, and all of it followed."""
    lender.borrow(chain.users[1], 1_000)
    settle()
    follow.follow_chain()
    return PartnerLoan.objects.get()


def without_newest(proxy: RpcProxy, chain: Chain, *, times: int | None = FILTERS) -> None:
    """The node answers for logs with what it had a block ago."""
    behind = chain.block_number() - 1
    proxy.rewrite(LOGS, lambda logs: [log for log in logs if int(log["blockNumber"], 16) <= behind], times=times)


def without_headers_to_tell(proxy: RpcProxy) -> None:
    """Nor do the node's headers say that there are logs."""
    blank = {"logsBloom": "0x" + "00" * 256}
    proxy.rewrite(BLOCK, lambda block: {**block, **blank} if block else None, times=None)


def outstanding() -> int:
    return PartnerLoan.objects.get().outstanding_principal


def test_f45_a_block_without_the_logs_that_its_header_tells_of_is_asked_for_them(
    chain: Chain, proxy: RpcProxy, borrowed: PartnerLoan
) -> None:
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 400 * DOLLAR)
    without_newest(proxy, chain)
    follow.follow_chain()
    assert outstanding() == 600 * DOLLAR == chain.debt(chain.users[1].position_id)


def test_f45_a_node_that_does_not_have_the_range_is_not_believed(
    chain: Chain, proxy: RpcProxy, borrowed: PartnerLoan
) -> None:
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 400 * DOLLAR)
    newest = chain.block_number()
    without_newest(proxy, chain)
    proxy.rewrite(BLOCK, lambda block: block if block and int(block["number"], 16) < newest else None, times=None)
    with pytest.raises(clients.ChainUnavailable):
        follow.follow_chain()
    assert WatchCursor.objects.get().next_block <= newest
    proxy.heal()
    follow.follow_chain()
    assert outstanding() == 600 * DOLLAR


def test_f45_what_was_missed_is_found_when_it_is_final(
    chain: Chain, proxy: RpcProxy, borrowed: PartnerLoan, caplog: pytest.LogCaptureFixture
) -> None:
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 400 * DOLLAR)
    without_headers_to_tell(proxy)
    without_newest(proxy, chain)
    follow.follow_chain()
    assert outstanding() == 1_000 * DOLLAR  # nothing told us
    chain.mine(second_reading.EVERY_BLOCKS + FINAL_AFTER_BLOCKS)
    follow.follow_chain()
    assert outstanding() == 600 * DOLLAR
    assert "3 events were missed" in caplog.text
    assert books.discrepancies() == []


def test_f45_what_was_missed_is_found_when_a_later_payment_does_not_fit(
    chain: Chain, proxy: RpcProxy, lender: PartnerClient, borrowed: PartnerLoan
) -> None:
    """The ledger has a gap: the blocks since the position's last event are read again, final or not."""
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 400 * DOLLAR)
    without_headers_to_tell(proxy)
    without_newest(proxy, chain)
    follow.follow_chain()
    assert lender.repay(600 * DOLLAR).status_code == 202
    for _ in range(3):
        driver.drive_once()
        chain.mine()
    driver.drive_once()
    settle_due()
    assert outstanding() == 0 == chain.debt(chain.users[1].position_id)
    assert PartnerLoan.objects.get().status == LoanStatus.REPAID
    assert set(Repayment.objects.values_list("status", "amount")) == {
        (RepaymentStatus.SETTLED, 400 * DOLLAR),
        (RepaymentStatus.SETTLED, 600 * DOLLAR),
    }


def test_f45_a_gap_in_a_position_is_found_by_the_events_that_follow_it(
    chain: Chain, proxy: RpcProxy, borrowed: PartnerLoan
) -> None:
    user = chain.users[1]
    repay_on_chain(chain, user.wallet, user, 400 * DOLLAR)
    without_headers_to_tell(proxy)
    without_newest(proxy, chain)
    follow.follow_chain()
    repay_on_chain(chain, user.wallet, user, 100 * DOLLAR)
    follow.follow_chain()
    follow.follow_chain()
    assert outstanding() == 500 * DOLLAR == chain.debt(user.position_id)


def test_f45_an_event_that_was_never_there_is_taken_back_when_it_is_final(
    chain: Chain, proxy: RpcProxy, borrowed: PartnerLoan
) -> None:
    """A node made it up, or had it from a branch that nobody else ever saw."""
    block = WatchedBlock.objects.order_by("-number")[0]
    place = {"block_number": block.number, "block_hash": block.hash}
    made_up = ChainEvent.objects.create(
        **place, block_time=1, log_index=999, tx_hash="0x" + "12" * 32, name="OAID.Transfer", args={}, applied=True
    )
    chain.mine(second_reading.EVERY_BLOCKS + FINAL_AFTER_BLOCKS)
    follow.follow_chain()
    assert not ChainEvent.objects.filter(pk=made_up.pk).exists()
    assert outstanding() == 1_000 * DOLLAR


def test_f45_where_two_endpoints_disagree_about_final_events_somebody_is_told_and_nothing_is_concluded(
    chain: Chain, proxy: RpcProxy, second: RpcProxy, borrowed: PartnerLoan, caplog: pytest.LogCaptureFixture
) -> None:
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 400 * DOLLAR)
    follow.follow_chain()
    verified = WatchCursor.objects.get().verified_block
    without_newest(second, chain, times=None)
    chain.mine(second_reading.EVERY_BLOCKS + FINAL_AFTER_BLOCKS)
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 100 * DOLLAR)
    for _ in range(3):
        follow.follow_chain()
        chain.mine()
    told = [record for record in caplog.records if "the endpoints disagree about the events of" in record.message]
    assert [record.levelname for record in told] == ["ERROR"]
    assert WatchCursor.objects.get().verified_block == verified
    assert outstanding() == 500 * DOLLAR  # what one endpoint lacks holds nobody's books up
    assert not ChainEvent.objects.filter(applied=False).exists()
    second.heal()
    follow.follow_chain()
    assert WatchCursor.objects.get().verified_block > verified


@pytest.fixture
def begins(chain: Chain, borrowed: PartnerLoan, settings: Settings) -> int:
    """The block that the platform was told to read from; it has older events, and none of them was ever read."""
    settings.WATCH_FROM_BLOCK = begins = ChainEvent.objects.filter(name="SolvencyVault.USDCBorrowed").get().block_number
    assert ChainEvent.objects.filter(block_number__lt=begins).delete()[0] > 0
    WatchCursor.objects.update(verified_block=0)
    return begins


def test_what_is_older_than_the_first_block_to_read_was_not_missed(
    chain: Chain, proxy: RpcProxy, begins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_back, asked = rollbacks(monkeypatch), ranges_asked_for(proxy)
    chain.mine(second_reading.EVERY_BLOCKS + FINAL_AFTER_BLOCKS)
    follow.follow_chain()
    assert taken_back == []
    assert min(asked) == begins
    assert WatchCursor.objects.get().verified_block >= begins + second_reading.EVERY_BLOCKS - 1
    assert outstanding() == 1_000 * DOLLAR


def test_what_is_older_is_not_looked_for_where_somebody_misses_an_event(
    chain: Chain, proxy: RpcProxy, begins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_back, asked = rollbacks(monkeypatch), ranges_asked_for(proxy)
    assert watcher.recheck_blocks(0, chain.block_number()) is False
    assert (taken_back, min(asked)) == ([], begins)
    ChainEvent.objects.filter(block_number=begins).delete()
    assert watcher.recheck_blocks(0, chain.block_number()) is True
    assert taken_back == [begins]
    assert WatchCursor.objects.get().next_block == begins


def rollbacks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The blocks from which on something is taken back."""
    taken_back: list[int] = []
    heard_by(monkeypatch, rollback_begins, lambda block, **_: taken_back.append(block))
    return taken_back


def ranges_asked_for(proxy: RpcProxy) -> list[int]:
    """The first blocks of the ranges whose logs are asked for."""
    asked: list[int] = []
    proxy.on_call = lambda method, params: (
        asked.append(int(params[0]["fromBlock"], 16)) if method == LOGS and "fromBlock" in params[0] else None
    )
    return asked


def test_f46_a_reorg_while_no_watcher_ran_and_final_since(
    chain: Chain, lender: PartnerClient, borrowed: PartnerLoan, settle: Callable[[], None]
) -> None:
    paid_before = chain.usdc_balance(lender.partner.settlement_address) - 995 * DOLLAR
    chain.rpc("anvil_rollback", 2)
    chain.rpc("anvil_dropAllTransactions")
    chain.mine(FINAL_AFTER_BLOCKS + 5)
    lender.borrow(chain.users[0], 100, "b")
    for _ in range(4):
        driver.drive_once()
        settle_due()
        follow.follow_chain()
        chain.mine()
    settle()
    follow.follow_chain()
    statuses = dict(PartnerLoan.objects.values_list("partner_loan_id", "status"))
    assert statuses == {"loan-1": LoanStatus.ACTIVE, "b": LoanStatus.ACTIVE}
    paid = chain.usdc_balance(lender.partner.settlement_address) - paid_before
    assert paid == 995 * DOLLAR + 99_500_000
    assert books.discrepancies() == []


def test_f46_the_hashes_of_blocks_are_kept_until_they_are_final(
    chain: Chain, proxy: RpcProxy, borrowed: PartnerLoan
) -> None:
    proxy.meddle(BLOCK, lambda params: params.__setitem__(0, "0x1") if params[0] == "finalized" else None, times=None)
    first = WatchedBlock.objects.order_by("number")[0].number
    for _ in range(3):
        chain.mine(100)
        follow.follow_chain()
    kept = list(WatchedBlock.objects.order_by("number").values_list("number", flat=True))
    assert kept == list(range(first, chain.block_number() + 1))
    proxy.heal()
    for _ in range(2):
        chain.mine()
        follow.follow_chain()
    final = chain.block_number() - (FINAL_AFTER_BLOCKS - 1)
    assert WatchedBlock.objects.order_by("number")[0].number >= final - second_reading.EVERY_BLOCKS


def test_f46_a_reorg_that_not_every_endpoint_shows_undoes_nothing(
    chain: Chain, proxy: RpcProxy, second: RpcProxy, borrowed: PartnerLoan
) -> None:
    another: dict[str, Any] = {"hash": "0x" + "ef" * 32}
    proxy.rewrite(BLOCK, lambda block: {**block, **another} if block else None, times=None)
    chain.mine()
    events = ChainEvent.objects.count()
    with pytest.raises(clients.ChainUnavailable):
        watcher.read_new_blocks()
    assert ChainEvent.objects.count() == events
    assert PartnerLoan.objects.get().status == LoanStatus.ACTIVE
