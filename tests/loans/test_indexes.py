"""What the watcher, the ledger and the sweeps ask for is found by an index, says the engine's own planner."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet

import chain.selectors
from chain.models import ChainEvent, WatchCursor, WatchedBlock
from loans.console.wallet_admin import UserWalletAdmin
from loans.funding import incoming, trusted
from loans.ledger import shares
from loans.models import (
    AccountDeposit,
    LedgerEntry,
    LoanStatus,
    NotedAddress,
    PartnerLoan,
    PartnerSpending,
    Repayment,
    SolvencyPosition,
    UserWallet,
)
from loans.positions import overdue
from loans.reconciliation import transfers
from loans.rollback.positions import pending_rollbacks_query
from loans.selectors import HISTORY_LENGTH
from loans.services import due_soon, lifecycle
from loans.stopping import wallets
from partner_platform.core import clock
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db

KEY = uuid.uuid4()

LOOKUPS: dict[str, Callable[[], QuerySet[Any]]] = {
    "cursor": lambda: WatchCursor.objects.filter(name="system", next_block=7),
    "watched blocks a reorg undid": lambda: WatchedBlock.objects.filter(number__gte=7),
    "events a reorg undid": lambda: ChainEvent.objects.filter(block_number__gte=7),
    "events of a position since a block": lambda: ChainEvent.objects.filter(position_id=7, block_number__gte=7),
    "what is left of a position's events": lambda: ChainEvent.objects.filter(
        position_id=7, block_number__lte=7
    ).order_by("-block_number", "-log_index"),
    "live loans of a position": lambda: shares.live_loans_query(7),
    "open loans of a wallet": lambda: wallets.open_loans("0x1"),
    "the block list": lambda: wallets.blocked_wallets()[:10],
    "ledger entries of a position since": lambda: LedgerEntry.objects.filter(position_id=7, order__gte=7).order_by(
        "-order"
    ),
    "positions a reorg undid": lambda: SolvencyPosition.objects.filter(ledger_order__gte=7),
    "positions lent against": lambda: SolvencyPosition.objects.filter(total_partner_debt__gt=0),
    "loans of many positions": lambda: PartnerLoan.objects.filter(
        solvency_position_id__in=[7, 8], status__in=[LoanStatus.PENDING, LoanStatus.ACTIVE]
    ),
    "a payment of a loan by its place": lambda: Repayment.objects.filter(loan=KEY, chain_order=7),
    "what was paid on a loan": lambda: Repayment.objects.filter(loan_id=KEY, status="SETTLED").order_by("-chain_order")[
        :HISTORY_LENGTH
    ],
    "what a sender brought": lambda: AccountDeposit.objects.filter(account="0x1", sender="0x2"),
    "a noted address": lambda: NotedAddress.objects.filter(account="0x1", address__in=["0x2"]),
    "what a partner's repayments took": lambda: PartnerSpending.objects.filter(partner_id=KEY, account="0x1"),
    "repayments that the account will pay": trusted.in_flight_query,
    "what a sender transferred": lambda: incoming.sent_query("0x1", None)[:10],
    "what is left of what a sender transferred": lambda: incoming.sent_query("0x1", False)[:10],
    "transfers of some blocks": lambda: chain.selectors.transfers_query(7, 9),
    "others' movements since a block": lambda: (
        transfers._events("block_number").filter(block_number__gte=7, block_number__lte=9)
    ).order_by("block_number", "log_index")[:100],
    "loans with a due date that is near": lambda: due_soon.due_soon_query(clock.now()),
    "overdue loans": lambda: lifecycle.overdue_loans_query(clock.now()),
    "positions that wait for long": lambda: overdue.overdue_positions_query(500),
    "positions on which a reorg is to be undone": lambda: pending_rollbacks_query(clock.now()),
    "events of a position that wait": lambda: ChainEvent.objects.filter(
        position_id=7, block_number__gte=7, applied__in=[False]
    ).order_by("block_number", "log_index"),
    "loans of a position with a repayment under way": lambda: PartnerLoan.objects.filter(
        solvency_position_id=7, repayment_in_flight=True
    ),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_query_finds_its_rows_by_an_index(name: str) -> None:
    assert_uses_index(LOOKUPS[name](), sorts=name == "live loans of a position")


@pytest.mark.parametrize("after", [(-1, -1), (7, 3)])
def test_events_to_apply_are_found_in_order_by_the_index_made_for_them(after: tuple[int, int]) -> None:
    assert_uses_index(chain.selectors.unapplied_events_query(after)[:100], index="chain_event_due")


def test_events_put_off_are_found_in_order_by_the_same_index() -> None:
    assert_uses_index(chain.selectors.events_due_again_query(clock.now())[:100], index="chain_event_due")


def test_the_consoles_list_of_wallets_is_in_the_order_of_an_index() -> None:
    """No condition bounds it: the index is walked from its end, and no further than the page."""
    with pytest.raises(AssertionError) as raised:
        assert_uses_index(UserWallet.objects.order_by(*UserWalletAdmin.ordering)[:100])
    assert "sort" not in str(raised.value).split(" in the plan")[0]
