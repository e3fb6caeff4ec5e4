"""Following the chain: what users and liquidators do reaches the books once, in order, and is taken back by a reorg."""

import pytest

from audit.models import AuditEntry
from chain.events import watcher
from chain.lending import deployment
from chain.models import ChainEvent, WatchCursor
from chain.rpc.clients import get_client
from chain.settlement import driver
from loans.models import LedgerEntry, LoanStatus, PartnerLoan, Repayment, RepaymentSource, SolvencyPosition
from loans.reconciliation.run import reconcile
from loans.services import follow
from loans.services.settle import settle_due
from partners.models import Partner
from tests.factories import DOLLAR
from tests.support import books
from tests.support.actors import draw_on_chain, liquidate, repay_on_chain, revalue, set_interest_rate
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db(transaction=True)

MONTH = 30 * 86_400


def follow_chain() -> follow.FollowReport:
    _, report = follow.follow_chain()
    assert books.discrepancies() == []
    return report


def debts_match(chain, *users) -> bool:
    from loans.debt.interest import OWN
    from loans.ledger import shares

    for user in users:
        row = SolvencyPosition.objects.get(position_id=user.position_id)
        debt = shares.divided(shares.sums_of(row).at(chain.now()), shares.live_loans(row.position_id))
        assert debt.total == chain.debt(user.position_id)
        assert sum(debt.owed().values()) == debt.total
        assert OWN not in debt.parts or debt.parts[OWN].principal >= 0
    return True


def test_positions_are_mirrored_from_their_events_without_a_single_loan(chain):
    report = follow_chain()

    rows = {row.position_id: row for row in SolvencyPosition.objects.all()}
    assert sorted(rows) == [user.position_id for user in chain.users]
    assert [rows[user.position_id].user_wallet for user in chain.users] == [user.wallet for user in chain.users]
    assert {row.token_type for row in rows.values()} == {"RWA", "PRIVATE_ASSET"}
    assert report.applied == ChainEvent.objects.count()
    assert not ChainEvent.objects.filter(applied=False).exists()
    draw_on_chain(chain, chain.users[0], 5 * DOLLAR)
    revalue(chain, chain.users[0], 20_000 * DOLLAR)
    type_command("sync_positions")
    row = SolvencyPosition.objects.get(position_id=chain.users[0].position_id)
    assert (row.usdc_borrowed, row.collateral_value_usd) == (5 * DOLLAR, 20_000 * DOLLAR)
    assert row.health_factor_bps == 20_000 * 10_000 // 5
    assert debts_match(chain, *chain.users)


def test_our_own_operations_are_not_counted_a_second_time(chain, lender, settle):
    set_interest_rate(chain, 500)
    lender.borrow(chain.users[0], 1_000)
    settle()
    chain.pass_time(MONTH)
    lender.repay(400 * DOLLAR)
    settle()
    before = PartnerLoan.objects.values().get()

    follow_chain()
    follow_chain()

    after = PartnerLoan.objects.values().get()
    assert {**after, "updated_at": None} == {**before, "updated_at": None}
    assert Repayment.objects.count() == 1
    assert LedgerEntry.objects.count() == 2
    assert not ChainEvent.objects.filter(applied=False).exists()
    assert debts_match(chain, chain.users[0])


def test_a_users_own_repayment_goes_to_the_oldest_loan_first(chain, make_client, settle):
    set_interest_rate(chain, 500)
    first, second, user = make_client(0), make_client(1), chain.users[1]
    first.borrow(user, 1_000, "old")
    settle()
    chain.pass_time(MONTH)
    second.borrow(user, 2_000, "young")
    settle()
    chain.pass_time(MONTH)

    tx_hash = repay_on_chain(chain, user.wallet, user, 1_500 * DOLLAR)
    follow_chain()

    old, young = first.loan("old"), second.loan("young")
    assert old["status"] == "REPAID"
    assert young["status"] == "ACTIVE"
    assert old["repaymentHistory"][0]["repaidBy"] == young["repaymentHistory"][0]["repaidBy"] == "USER"
    assert old["repaymentHistory"][0]["txHash"] == old["repayTxHash"] == tx_hash
    assert int(old["totalRepaid"]) + int(young["totalRepaid"]) == 1_500 * DOLLAR
    assert debts_match(chain, user)
    assert int(young["remainingDebt"]) == chain.debt(user.position_id)
    assert Partner.objects.get(pk=first.partner.pk).current_outstanding == 0
    actions = AuditEntry.objects.filter(action__in=["loan.repaid", "loan.repayment"]).order_by("timestamp")
    assert [entry.after["repaidBy"] for entry in actions] == ["USER", "USER"]
    follow_chain()
    assert Repayment.objects.count() == 2


def test_what_the_user_pays_while_a_payoff_is_under_way_is_not_taken_from_its_partner(chain, make_client, settle):
    set_interest_rate(chain, 500)
    first, second, user = make_client(0), make_client(1), chain.users[1]
    first.borrow(user, 1_000, "old")
    second.borrow(user, 2_000, "young")
    settle()
    chain.pass_time(MONTH)
    first.repay(int(first.get("/partners/loan/old/payoff").json()["payoffAmount"]), "old")
    settlement = chain.usdc_balance(first.partner.settlement_address)

    repay_on_chain(chain, user.wallet, user, 500 * DOLLAR)
    settle()
    follow_chain()

    paid = settlement - chain.usdc_balance(first.partner.settlement_address)
    assert first.loan("old")["status"] == "REPAID"
    assert second.loan("young")["totalRepaid"] == str(500 * DOLLAR)
    assert paid == int(first.loan("old")["totalRepaid"])
    assert debts_match(chain, user)


def test_an_event_the_watcher_has_not_read_yet_is_fetched_before_a_later_operation_settles(chain, lender, settle):
    set_interest_rate(chain, 1_000)
    user = chain.users[0]
    lender.borrow(user, 1_000)
    settle()
    chain.pass_time(MONTH)
    repay_on_chain(chain, user.wallet, user, 100 * DOLLAR)

    lender.borrow(user, 500, "loan-2")
    settle()

    assert lender.loan("loan-2")["status"] == "ACTIVE"
    assert lender.loan()["totalRepaid"] == str(100 * DOLLAR)
    assert debts_match(chain, user)


def test_a_liquidation_is_shared_pro_rata_and_the_rest_is_written_off(chain, make_client, settle):
    set_interest_rate(chain, 500)
    first, second, user = make_client(0), make_client(1), chain.users[1]
    first.borrow(user, 30_000, "a")
    second.borrow(user, 10_000, "b")
    settle()
    chain.pass_time(12 * MONTH)
    revalue(chain, user, 20_000 * DOLLAR)

    tx_hash = liquidate(chain, chain.users[2].wallet, user, 20_000 * DOLLAR)
    follow_chain()

    loans = {loan.partner_loan_id: loan for loan in PartnerLoan.objects.all()}
    assert {loan.status for loan in loans.values()} == {LoanStatus.LIQUIDATED}
    assert loans["a"].total_repaid + loans["b"].total_repaid == 20_000 * DOLLAR
    assert abs(loans["a"].total_repaid - 3 * loans["b"].total_repaid) <= 100
    assert loans["a"].written_off_principal + loans["a"].written_off_interest > 15_000 * DOLLAR
    assert {partner.current_outstanding for partner in Partner.objects.all()} == {0}
    body = first.loan("a")
    assert (body["remainingDebt"], body["status"]) == ("0", "LIQUIDATED")
    assert body["repaymentHistory"][0]["repaidBy"] == RepaymentSource.LIQUIDATION
    assert body["repaymentHistory"][0]["txHash"] == tx_hash
    row = SolvencyPosition.objects.get(position_id=user.position_id)
    assert (row.active, row.usdc_borrowed, row.total_partner_debt) == (False, 0, 0)
    assert row.liquidated_at is not None
    assert chain.debt(user.position_id) == 0
    refused = first.repay(1, "a")
    assert (refused.status_code, refused.json()["code"]) == (400, "loan_not_repayable")


def test_a_reorg_takes_a_users_repayment_back_and_the_new_blocks_count(chain, lender, settle):
    set_interest_rate(chain, 500)
    user = chain.users[0]
    lender.borrow(user, 1_000)
    settle()
    chain.pass_time(MONTH)
    follow_chain()
    before = PartnerLoan.objects.values().get()
    block = chain.block_number()
    repay_on_chain(chain, user.wallet, user, 2_000 * DOLLAR // 3)
    follow_chain()
    assert PartnerLoan.objects.get().total_repaid == 2_000 * DOLLAR // 3

    chain.rpc("anvil_rollback", chain.block_number() - block)
    chain.mine(7)
    follow_chain()

    after = PartnerLoan.objects.values().get()
    assert (before["event_sequence"], after["event_sequence"]) == (1, 3)  # the payment, and that it was undone
    moved = {"updated_at": None, "event_sequence": None}
    assert {**after, **moved} == {**before, **moved}
    assert Repayment.objects.get().status == "FAILED"
    assert Partner.objects.get().total_repaid == 0
    assert debts_match(chain, user)
    repay_on_chain(chain, user.wallet, user, 10 * DOLLAR)
    follow_chain()
    assert PartnerLoan.objects.get().total_repaid == 10 * DOLLAR
    assert debts_match(chain, user)


def test_a_reorg_of_everything_is_settled_anew_when_our_transactions_land_again(chain, lender, settle):
    set_interest_rate(chain, 500)
    user = chain.users[0]
    block = chain.block_number()
    lender.borrow(user, 1_000)
    settle()
    chain.pass_time(MONTH)
    lender.repay(300 * DOLLAR)
    settle()
    follow_chain()

    chain.rpc("anvil_rollback", chain.block_number() - block)
    chain.mine(1)
    watcher.read_new_blocks()
    for _ in range(12):
        driver.drive_once()
        chain.mine()
        settle_due()
        follow.follow_chain()

    assert books.discrepancies() == []
    assert debts_match(chain, user)
    loan = PartnerLoan.objects.get()
    assert loan.total_repaid == 300 * DOLLAR
    assert AuditEntry.objects.filter(action="loan.undone").count() >= 2


def test_the_cursor_goes_on_where_it_was_stopped(chain):
    watcher.read_new_blocks(to_block=5)
    assert WatchCursor.objects.get().next_block == 6
    half = ChainEvent.objects.count()

    watcher.read_new_blocks()

    assert WatchCursor.objects.get().next_block == chain.block_number() + 1
    places = list(ChainEvent.objects.order_by("block_number", "log_index").values_list("block_number", "log_index"))
    assert len(places) == len(set(places)) > half


def undo_blocks(chain, since: int) -> None:
    """Other blocks take the place of all after `since`, as many and one more; nothing comes again in them."""
    depth = chain.block_number() - since
    chain.rpc("anvil_rollback", depth)
    chain.rpc("evm_setNextBlockTimestamp", hex(chain.now() + MONTH))
    chain.mine(depth + 1)


def test_a_reorg_gives_a_position_without_loans_the_debt_it_had_though_nothing_comes_after(chain):
    set_interest_rate(chain, 500)
    drawn_before, undrawn = chain.users[:2]
    draw_on_chain(chain, drawn_before, 5 * DOLLAR)
    chain.pass_time(MONTH)
    follow_chain()
    before = {row["position_id"]: row for row in SolvencyPosition.objects.values()}
    block = chain.block_number()
    draw_on_chain(chain, drawn_before, 7 * DOLLAR)
    draw_on_chain(chain, undrawn, 9 * DOLLAR)
    follow_chain()
    assert SolvencyPosition.objects.get(position_id=undrawn.position_id).usdc_borrowed == 9 * DOLLAR

    undo_blocks(chain, block)
    follow_chain()

    assert before == {row["position_id"]: {**row, **volatile(before, row)} for row in SolvencyPosition.objects.values()}
    assert debts_match(chain, *chain.users)


def test_a_reorg_takes_back_what_collateral_was_worth_a_liquidation_and_an_opening(chain, lender, settle):
    revalued, liquidated, lent = chain.users
    draw_on_chain(chain, liquidated, 5_000 * DOLLAR)
    lender.borrow(lent, 1_000)
    settle()
    follow_chain()
    before = {row["position_id"]: row for row in SolvencyPosition.objects.values()}
    block = chain.block_number()
    revalue(chain, revalued, 20_000 * DOLLAR)
    revalue(chain, lent, 900 * DOLLAR)
    liquidate(chain, chain.addresses["deployer"], lent, 2_000 * DOLLAR)
    revalue(chain, liquidated, 5_500 * DOLLAR)
    liquidate(chain, chain.addresses["deployer"], liquidated, 6_000 * DOLLAR)
    with chain.automine():
        _, opened = deployment.open_sandbox_position(
            client=get_client(),
            system=chain.addresses,
            user_key=revalued.private_key,
            credit_limit=1_000 * DOLLAR,
            token_type="RWA",
            executor=chain.addresses["executor"],
        )
    follow_chain()
    assert SolvencyPosition.objects.filter(position_id=opened).exists()
    assert not SolvencyPosition.objects.get(position_id=lent.position_id).active

    undo_blocks(chain, block)
    follow_chain()

    assert before == {row["position_id"]: {**row, **volatile(before, row)} for row in SolvencyPosition.objects.values()}
    assert PartnerLoan.objects.get().status == LoanStatus.ACTIVE
    assert reconcile().findings == []


def volatile(before, row) -> dict:
    """When a row was written is nobody's business."""
    known = before.get(row["position_id"], {})
    return {"updated_at": known.get("updated_at"), "id": known.get("id")}
