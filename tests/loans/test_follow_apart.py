"""A position that cannot be followed fails by itself: it is held, its events are put off, and the others go on."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain import services as chain_services
from chain.events import watcher
from chain.models import ChainEvent, WatchCursor
from chain.settlement import driver
from chain.signals import rollback_begins
from loans import tasks
from loans.chain_order import order_of
from loans.models import LedgerEntry, LoanStatus, PartnerLoan, SolvencyPosition
from loans.positions import holding, overdue
from loans.rollback.positions import pending_rollbacks
from loans.services import applying, follow
from loans.services.settle import settle_due
from partner_platform.core import clock, metrics
from partners.models import Partner
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.support import books
from tests.support.actors import draw_on_chain, repay_on_chain, revalue
from tests.support.chain import Chain
from tests.support.clocks import shift_clock

pytestmark = pytest.mark.django_db(transaction=True)

MakeClient = Callable[..., PartnerClient]
PAUSE = 400  # seconds, longer than any


@pytest.fixture(autouse=True)
def _right_clock() -> Iterator[None]:
    yield
    shift_clock()


@pytest.fixture
def two_lent(chain: Chain, make_client: MakeClient, settle: Callable[[], None]) -> tuple[PartnerClient, PartnerClient]:
    """$100 lent on each of two positions by two partners, everything followed."""
    first, second = make_client(0), make_client(1)
    first.borrow(chain.users[0], 100, "first")
    second.borrow(chain.users[1], 100, "second")
    settle()
    follow.follow_chain()
    return first, second


def row_of(user: Any) -> SolvencyPosition:
    return SolvencyPosition.objects.get(position_id=user.position_id)


def owed(loan_id: str) -> int:
    return PartnerLoan.objects.get(partner_loan_id=loan_id).outstanding_principal


def break_partner(client: PartnerClient) -> None:
    """Its running sum is wrong: no repayment of its loans can be booked (M4)."""
    Partner.objects.filter(pk=client.partner.pk).update(current_outstanding=0)


def mend_partner(client: PartnerClient, outstanding: int) -> None:
    Partner.objects.filter(pk=client.partner.pk).update(current_outstanding=outstanding)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def test_a_position_whose_books_are_wrong_stops_none_that_come_after_it(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], caplog: pytest.LogCaptureFixture
) -> None:
    break_partner(two_lent[0])
    for user in chain.users[:2]:
        repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)

    _, report = follow.follow_chain()

    assert (owed("first"), owed("second")) == (100 * DOLLAR, 60 * DOLLAR)
    assert report.waiting == {chain.users[0].position_id}
    assert errors(caplog) == [f"position {chain.users[0].position_id} cannot be followed; it is put off by itself"]
    row = row_of(chain.users[0])
    assert (row.follow_failures, row.held_for) == (1, None)
    assert "outstanding could not move by 40000000 base units" in row.follow_error
    waits = ChainEvent.objects.filter(applied=False)
    assert set(waits.values_list("position_id", "follow_after")) == {(row.position_id, row.follow_after)}


def test_what_is_put_off_is_not_looked_at_before_its_time_and_catches_up_by_itself(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_partner(two_lent[0])
    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 40 * DOLLAR)
    follow.follow_chain()
    with monkeypatch.context() as patched:
        patched.setattr(applying, "apply_busy", _must_not_be_called)
        with CaptureQueriesContext(connection) as queries:
            assert follow.apply_due().applied == 0
    assert len(queries) == 3  # what is owed after a reorg, events, events put off
    mend_partner(two_lent[0], 100 * DOLLAR)
    shift_clock(seconds=PAUSE)

    follow.follow_chain()

    assert owed("first") == 60 * DOLLAR
    row = row_of(chain.users[0])
    assert (row.follow_failures, row.follow_after, row.waiting_since_block, row.follow_error) == (0, None, None, "")
    assert not ChainEvent.objects.filter(applied=False).exists()
    assert books.discrepancies() == []


def test_it_is_told_at_error_once_and_waits_longer_each_time(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], caplog: pytest.LogCaptureFixture
) -> None:
    break_partner(two_lent[0])
    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 40 * DOLLAR)
    follow.follow_chain()
    for tries in (1, 2):
        shift_clock(seconds=tries * PAUSE)
        follow.apply_due()
    assert row_of(chain.users[0]).follow_failures == 3
    assert len(errors(caplog)) == 1


def test_later_events_of_a_held_position_are_put_off_untried_and_hide_no_others(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "EVENTS_PER_READ", 6)  # fewer than the events that wait
    break_partner(two_lent[0])
    user = chain.users[0]
    for _ in range(4):
        repay_on_chain(chain, user.wallet, user, DOLLAR)
    follow.follow_chain()
    assert ChainEvent.objects.filter(applied=False).count() > 6
    repay_on_chain(chain, user.wallet, user, DOLLAR)
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 40 * DOLLAR)

    follow.follow_chain()

    assert owed("second") == 60 * DOLLAR
    assert row_of(user).follow_failures == 1
    assert not ChainEvent.objects.filter(applied=False, follow_after=None).exists()


def test_operations_of_a_position_that_cannot_be_followed_wait_behind_it_and_settle_with_it(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], settle: Callable[[], None]
) -> None:
    first, second = two_lent
    break_partner(first)
    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 40 * DOLLAR)
    follow.follow_chain()
    second.borrow(chain.users[0], 10, "behind")
    _drive(chain)

    assert settle_due() == 0

    assert row_of(chain.users[0]).follow_failures == 1  # not tried in vain
    mend_partner(first, 100 * DOLLAR)
    shift_clock(seconds=PAUSE)
    follow.follow_chain()
    assert owed("first") == 60 * DOLLAR
    assert settle_due() == 1
    assert PartnerLoan.objects.get(partner_loan_id="behind").status == LoanStatus.ACTIVE
    assert books.discrepancies() == []


def test_an_event_from_before_the_place_where_it_waits_is_tried_at_once(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient]
) -> None:
    """As one that a lagging node kept back."""
    user = chain.users[0]
    draw_on_chain(chain, user, 5 * DOLLAR)
    repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)
    watcher.read_new_blocks()
    unread = ChainEvent.objects.filter(position_id=user.position_id, applied=False)
    drawn = unread.order_by("block_number").first()
    assert drawn is not None
    late = list(unread.filter(block_number=drawn.block_number))
    ChainEvent.objects.filter(pk__in=[event.pk for event in late]).delete()
    follow.apply_due()
    assert row_of(user).follow_failures == 1

    ChainEvent.objects.bulk_create(late)
    follow.apply_due()

    assert owed("first") == 60 * DOLLAR
    assert row_of(user).follow_failures == 0
    assert row_of(user).usdc_borrowed == 65 * DOLLAR == chain.debt(user.position_id)


def test_events_of_a_position_that_the_chain_does_not_show_stop_nobody(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], caplog: pytest.LogCaptureFixture
) -> None:
    _event(chain, 1_000_000, "SeniorPool.DebtUpdated")
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 40 * DOLLAR)

    follow.follow_chain()
    shift_clock(seconds=PAUSE)
    follow.apply_due()

    assert owed("second") == 60 * DOLLAR
    assert ChainEvent.objects.get(position_id=1_000_000).follow_after is not None
    assert errors(caplog) == ["events of position 1000000 wait: the chain does not show such a position"]


@pytest.mark.parametrize("name", ["SolvencyVault.PositionOpened", "SolvencyVault.USDCBorrowed"])
def test_an_event_that_cannot_be_read_stops_nobody(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], name: str
) -> None:
    _event(chain, 1_000_000 if name.endswith("Opened") else chain.users[0].position_id, name)
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 40 * DOLLAR)

    follow.follow_chain()

    assert owed("second") == 60 * DOLLAR
    assert ChainEvent.objects.get(args={}).applied is False


def test_a_quiet_position_that_fails_is_found_among_many(chain: Chain, lender: PartnerClient) -> None:
    for user in chain.users:
        draw_on_chain(chain, user, 5 * DOLLAR)
    watcher.read_new_blocks()
    broken = ChainEvent.objects.filter(position_id=chain.users[1].position_id, name="SeniorPool.DebtUpdated")
    broken.update(args={"principal": "much"})

    report = follow.apply_due()

    assert [row_of(user).usdc_borrowed for user in chain.users] == [5 * DOLLAR, 0, 5 * DOLLAR]
    assert report.waiting == {chain.users[1].position_id}


@pytest.mark.parametrize("batch", [4, 5, 7, 11])
def test_what_one_transaction_did_is_applied_together_wherever_a_batch_ends(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(follow, "EVENTS_PER_READ", batch)
    for _ in range(3):
        for user in chain.users[:2]:
            repay_on_chain(chain, user.wallet, user, DOLLAR)

    follow.follow_chain()

    assert (owed("first"), owed("second")) == (97 * DOLLAR, 97 * DOLLAR)
    told = ChainEvent.objects.filter(name="SeniorPool.DebtUpdated", operation_uid="")
    places = {order_of(event.block_number, event.log_index) for event in told}  # as the pool's own figures tell
    assert set(LedgerEntry.objects.filter(kind="PAYMENT").values_list("order", flat=True)) == places
    assert len(places) == 6
    assert not ChainEvent.objects.filter(applied=False).exists()


# --- a reorg ---


def test_a_position_that_cannot_be_unwound_keeps_the_watcher_from_nothing(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], caplog: pytest.LogCaptureFixture
) -> None:
    block = chain.block_number()
    for user in chain.users[:2]:
        repay_on_chain(chain, user.wallet, user, 40 * DOLLAR)
    follow.follow_chain()
    assert (owed("first"), owed("second")) == (60 * DOLLAR, 60 * DOLLAR)
    Partner.objects.filter(pk=two_lent[0].partner.pk).update(total_repaid=0)  # it cannot be rolled back

    chain.rpc("anvil_rollback", chain.block_number() - block)
    chain.mine(9)
    repay_on_chain(chain, chain.users[1].wallet, chain.users[1], 10 * DOLLAR)
    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 10 * DOLLAR)
    watched, _ = follow.follow_chain()

    assert watched.rolled_back > 0
    assert (owed("first"), owed("second")) == (60 * DOLLAR, 90 * DOLLAR)  # nothing is applied on top of what is undone
    row = row_of(chain.users[0])
    assert row.undo_from is not None
    assert row.follow_failures >= 1
    assert any("the rollback of a reorg fails, and is tried again" in message for message in errors(caplog))
    Partner.objects.filter(pk=two_lent[0].partner.pk).update(total_repaid=40 * DOLLAR)
    shift_clock(seconds=PAUSE)
    follow.follow_chain()
    assert (owed("first"), row_of(chain.users[0]).undo_from) == (90 * DOLLAR, None)
    assert row_of(chain.users[0]).usdc_borrowed == chain.debt(chain.users[0].position_id)
    assert books.discrepancies() == []


def test_what_is_owed_to_a_reorg_is_made_up_for_though_nothing_new_comes(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient]
) -> None:
    block = chain.block_number()
    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 40 * DOLLAR)
    follow.follow_chain()
    Partner.objects.filter(pk=two_lent[0].partner.pk).update(total_repaid=0)
    rollback_begins.send(sender=ChainEvent, block=block + 1)
    assert row_of(chain.users[0]).undo_from is not None
    ChainEvent.objects.filter(block_number__gt=block).delete()  # as the watcher goes on then
    WatchCursor.objects.update(next_block=block + 1)
    Partner.objects.filter(pk=two_lent[0].partner.pk).update(total_repaid=40 * DOLLAR)

    follow.apply_due()
    assert owed("first") == 60 * DOLLAR  # not before its time
    shift_clock(seconds=PAUSE)
    follow.apply_due()

    assert (owed("first"), row_of(chain.users[0]).undo_from) == (100 * DOLLAR, None)
    assert pending_rollbacks(10) == []


def test_no_operation_settles_on_a_position_on_which_a_reorg_is_still_to_be_undone(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loans.services.settle.follow_chain_quietly", lambda: False)
    SolvencyPosition.objects.filter(position_id=chain.users[1].position_id).update(undo_from=0)
    two_lent[1].borrow(chain.users[1], 10, "next")
    _drive(chain)

    assert settle_due() == 0

    loan = PartnerLoan.objects.select_related("borrow_operation").get(partner_loan_id="next")
    assert loan.status == LoanStatus.PENDING
    assert "the rollback of a reorg is to be finished first" in loan.borrow_operation.settle_error


# --- who waits for long ---


def test_a_position_that_waits_for_long_is_told_once_with_its_reason(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHAIN_OVERDUE_BLOCKS = 20
    break_partner(two_lent[0])
    repay_on_chain(chain, chain.users[0].wallet, chain.users[0], 40 * DOLLAR)
    follow.follow_chain()
    since = row_of(chain.users[0]).waiting_since_block
    assert since is not None
    chain.mine(20 - (chain.block_number() - since))
    follow.follow_chain()
    assert (len(errors(caplog)), overdue.count_held_positions()) == (1, {"waiting": 1, "overdue": 0})

    for _ in range(3):
        chain.mine()
        follow.follow_chain()

    told = errors(caplog)[1:]
    assert len(told) == 1
    assert told[0].startswith(
        f"position {chain.users[0].position_id} waits since block {since}, for 21 blocks: partner"
    )
    assert overdue.count_held_positions() == {"waiting": 0, "overdue": 1}
    assert b'positions_held{age="overdue"} 1.0' in metrics.build()
    mend_partner(two_lent[0], 100 * DOLLAR)
    shift_clock(seconds=PAUSE)
    follow.follow_chain()
    assert overdue.count_held_positions() == {"waiting": 0, "overdue": 0}


def test_many_are_told_in_few_lines(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], settings: Any, monkeypatch: Any, caplog: Any
) -> None:
    settings.CHAIN_OVERDUE_BLOCKS = 5
    monkeypatch.setattr(overdue, "NAMED", 1)
    names = sorted(user.position_id for user in chain.users)
    held = {"follow_failures": 1, "follow_error": "wrong", "undo_from": 0}
    for block, name in enumerate(names, start=1):
        SolvencyPosition.objects.filter(position_id=name).update(waiting_since_block=block, **held)
    overdue.report_overdue_positions(head=chain.block_number())
    told = [message for message in errors(caplog) if "wait" in message]
    assert len(told) == 2
    assert told[1] == f"{len(names) - 1} more positions wait for as long: {', '.join(map(str, names[1:]))}"


def test_one_that_waits_for_nothing_any_more_is_let_go_and_not_told_of(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHAIN_OVERDUE_BLOCKS = 5
    SolvencyPosition.objects.filter(position_id=chain.users[0].position_id).update(
        waiting_since_block=1, follow_failures=3, follow_error="wrong"
    )
    follow.follow_chain()
    assert (row_of(chain.users[0]).waiting_since_block, row_of(chain.users[0]).follow_failures) == (None, 0)
    assert errors(caplog) == []


def test_a_position_that_waits_for_an_operation_for_long_is_told_of_too(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHAIN_OVERDUE_BLOCKS = 15
    first, _ = two_lent
    first.borrow(chain.users[0], 10, "never-seen")
    driver.drive_once()
    chain.mine()  # and no driver looks
    operation = PartnerLoan.objects.get(partner_loan_id="never-seen").borrow_operation
    follow.follow_chain()
    assert row_of(chain.users[0]).follow_failures == 0  # it may well be settled at once
    chain.mine(16)

    follow.follow_chain()

    assert row_of(chain.users[0]).follow_failures == 1
    since, why = chain.block_number() - 16, f"operation {operation.key} is to be settled first"
    assert [message for message in errors(caplog) if "waits since" in message] == [
        f"position {chain.users[0].position_id} waits since block {since}, for 16 blocks: {why}"
    ]
    driver.drive_once()
    assert settle_due() == 1
    follow.follow_chain()
    assert not ChainEvent.objects.filter(applied=False).exists()
    assert row_of(chain.users[0]).follow_failures == 0


def test_the_pause_for_an_operation_that_is_about_to_be_settled_does_not_grow(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient]
) -> None:
    first, _ = two_lent
    first.borrow(chain.users[0], 10, "slow")
    driver.drive_once()
    chain.mine(16)
    driver.drive_once()
    operation = PartnerLoan.objects.get(partner_loan_id="slow").borrow_operation
    assert (operation.state, operation.acknowledged) == ("CONFIRMED", False)
    for _ in range(4):
        chain_services.retry_events_now(position_id=chain.users[0].position_id)
        SolvencyPosition.objects.filter(position_id=chain.users[0].position_id).update(follow_after=clock.now())
        follow.follow_chain()

    row = row_of(chain.users[0])

    assert row.follow_error == f"operation {operation.key} is to be settled first"
    assert row.follow_after is not None
    assert row.follow_after - clock.now() < dt.timedelta(seconds=2.5)
    assert settle_due() == 1
    assert (row_of(chain.users[0]).follow_failures, row_of(chain.users[0]).follow_after) == (0, None)


def test_a_position_is_not_held_for_an_operation_that_was_settled_at_that_moment(
    chain: Chain, two_lent: tuple[PartnerClient, PartnerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = two_lent
    first.borrow(chain.users[0], 10, "slow")
    driver.drive_once()
    chain.mine(16)
    driver.drive_once()
    hold, settled = holding.hold_position, []

    def settle_before_it_is_held(*args: Any, **fields: Any) -> None:
        settled.append(settle_due())
        hold(*args, **fields)

    monkeypatch.setattr(holding, "hold_position", settle_before_it_is_held)
    follow.follow_chain()

    assert settled == [1]
    assert (row_of(chain.users[0]).follow_failures, row_of(chain.users[0]).follow_after) == (0, None)
    follow.follow_chain()
    assert not ChainEvent.objects.filter(applied=False).exists()


# --- the minute's look at loans and positions ---


def test_a_loan_or_position_that_raises_stops_no_other_of_the_minutes_checks(
    chain: Chain, make_client: MakeClient, settle: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = make_client(0), make_client(1)
    month = 30 * 86_400
    for client, user, name in ((first, chain.users[0], "wrong"), (second, chain.users[1], "right")):
        client.borrow(user, 900, name, loanDuration=3 * month, numberOfInstallments=3)
    settle()
    follow.follow_chain()
    revalue(chain, chain.users[1], 1_200 * DOLLAR)
    PartnerLoan.objects.filter(partner_loan_id="wrong").update(schedule=[{"number": 1}])
    SolvencyPosition.objects.filter(position_id=chain.users[0].position_id).update(token_type="WHAT")
    follow.follow_chain()
    chain.pass_time(month + 86_400)

    tasks.watch_loans()

    assert PartnerLoan.objects.get(partner_loan_id="right").schedule[0]["status"] == "MISSED"
    assert row_of(chain.users[1]).health_warned_at is not None
    assert sorted(message.split(" ")[0] for message in errors(caplog)) == ["checking", "marking"]


def _drive(chain: Chain) -> None:
    live = True
    while live:
        driver.drive_once()
        chain.mine()
        live = driver.drive_once().live


def _event(chain: Chain, position_id: int, name: str) -> ChainEvent:
    """One without arguments, in the newest block."""
    watcher.read_new_blocks()
    number = chain.block_number()
    return ChainEvent.objects.create(
        block_number=number,
        log_index=1_000,
        block_hash=chain.rpc("eth_getBlockByNumber", hex(number), False)["hash"],
        block_time=chain.now(),
        tx_hash="0x" + "cd" * 32,
        name=name,
        position_id=position_id,
        args={},
    )


def _must_not_be_called(*_: object) -> None:
    raise AssertionError("looked at before its time")
