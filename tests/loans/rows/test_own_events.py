"""Draws and repayments against their events: what is not found is under way, being undone, or a finding."""

from typing import Any

import pytest

from chain.models import Operation
from chain.reconciling import ReferenceBlock
from loans.chain_order import order_of
from loans.models import PartnerLoan
from loans.reconciliation import records
from loans.reconciliation.comparison import Comparing
from loans.reconciliation.own_events import EventMatcher, MatchedEvents
from loans.reconciliation.records import DRAWS, PAYMENTS, EventRecord
from tests.loans.rows.conftest import EXECUTOR
from tests.loans.rows.test_loan_figures import loan_record
from tests.support.books_rows import BLOCK, BLOCK_HASH, BooksRows

MOMENT = ReferenceBlock(BLOCK + 10, "0xhead", 0, watched={BLOCK: BLOCK_HASH, BLOCK + 10: "0xhead"})


def compared(
    loan: PartnerLoan, *events: EventRecord, since: int = BLOCK - 1, fresh: int = BLOCK, moment: ReferenceBlock = MOMENT
) -> MatchedEvents:
    """The loan and its repayments against these events of its position."""
    record = loan_record(loan)
    landings = EventMatcher(moment, since=since, fresh=fresh)
    return landings.compare([record], records.repayments([record.pk]), {record.solvency_position_id: events})


def event(loan: PartnerLoan, name: str, amount: int, *, uid: str = "0x", log: int = 4) -> EventRecord:
    return EventRecord(loan_record(loan).solvency_position_id, BLOCK, log, name, uid, str(amount), EXECUTOR)


def drawn(world: BooksRows, state: str = "CONFIRMED", **operation: Any) -> PartnerLoan:
    """A loan of 1,000 with a fee of 5, drawn at log 3 of `BLOCK` by an operation that is like this by now."""
    done = world.operation(state, **operation)
    loan = world.loan(world.partner(), world.position(), operation=done, draw_order=order_of(BLOCK, 3))
    PartnerLoan.objects.filter(pk=loan.pk).update(platform_fee_charged=5)
    return loan


def subject(loan: PartnerLoan) -> str:
    return f"loan:{loan.internal_loan_id}"


def test_a_draw_whose_event_is_there_is_done_and_its_fee_stays_on_the_account(world: BooksRows) -> None:
    loan = drawn(world)
    found = compared(loan, event(loan, DRAWS[0], 1_000))
    assert (found.findings, found.motions, found.draws) == ([], {}, 1)
    assert found.flows == {EXECUTOR: 5}
    assert compared(loan, event(loan, DRAWS[0], 1_000), since=BLOCK).flows == {}


def test_an_event_of_another_amount_is_a_finding(world: BooksRows) -> None:
    loan = drawn(world)
    [finding] = compared(loan, event(loan, DRAWS[0], 999)).findings
    assert str(finding) == f"loan {loan.internal_loan_id} principal_amount is 1000, adds up to 999"


@pytest.mark.parametrize(
    "operation",
    [
        {"state": "EXECUTED"},
        {"state": "BUNDLED", "block_number": None, "block_hash": ""},
        {"reopened": True},
        {"block_number": None, "block_hash": ""},
    ],
    ids=["not settled yet", "taken back", "to be taken back", "without a block"],
)
def test_a_draw_without_its_event_is_under_way_where_a_reorg_undid_it(
    world: BooksRows, operation: dict[str, Any]
) -> None:
    loan = drawn(world, **operation)
    found = compared(loan)
    assert (found.findings, found.motions, found.flows) == ([], {subject(loan): None}, {})


def test_a_draw_in_a_block_that_was_replaced_is_under_way_since_that_block(world: BooksRows) -> None:
    loan = drawn(world, block_hash="0x" + "cc" * 32)
    found = compared(loan)
    assert (found.findings, found.motions) == ([], {subject(loan): BLOCK})


@pytest.mark.parametrize(("height", "is_finding"), [(BLOCK - 1, False), (BLOCK, True)])
def test_a_draw_that_is_later_than_what_was_read_is_nothing_yet(
    world: BooksRows, height: int, is_finding: bool
) -> None:
    loan = drawn(world)
    found = compared(loan, moment=ReferenceBlock(height, "0xhead", 0))
    assert (bool(found.findings), found.motions) == (is_finding, {})


@pytest.mark.parametrize(("since", "flows"), [(BLOCK - 1, {EXECUTOR: 5}), (BLOCK, {})])
def test_a_draw_without_its_event_is_a_finding_and_the_account_has_its_fee(
    world: BooksRows, since: int, flows: dict[str, int]
) -> None:
    loan = drawn(world)
    found = compared(loan, since=since)
    [finding] = found.findings
    assert str(finding) == f"loan {loan.internal_loan_id} principal_amount is 1000, adds up to 0"
    assert (found.motions, found.flows) == ({}, flows)


@pytest.mark.parametrize(("funding", "flows"), [("PULLED", {EXECUTOR: 5}), ("TRANSFER", {EXECUTOR: 5 - 300})])
def test_a_repayment_without_its_event_is_a_finding_and_the_account_paid_it(
    world: BooksRows, funding: str, flows: dict[str, int]
) -> None:
    loan = drawn(world)
    operation = world.operation(kind="repay")
    repayment = world.repayment(
        loan, 300, status="SETTLED", operation=operation, funding=funding, chain_order=order_of(BLOCK, 8)
    )
    found = compared(loan, event(loan, DRAWS[0], 1_000))
    [finding] = found.findings
    assert str(finding) == f"repayment {repayment.pk} amount is 300, adds up to 0"
    assert (found.flows, found.payments) == (flows, 1)
    paid = event(loan, PAYMENTS[0], 300, log=9)
    assert compared(loan, event(loan, DRAWS[0], 1_000), paid).findings == []


@pytest.mark.parametrize(("paid", "is_agreed"), [(299, False), (300, True), (301, True), (302, False)])
def test_a_repayments_event_may_say_one_base_unit_more_than_was_booked_and_no_other_amount(
    world: BooksRows, paid: int, is_agreed: bool
) -> None:
    loan = drawn(world)
    operation = world.operation(kind="repay")
    repayment = world.repayment(loan, 300, status="SETTLED", operation=operation, chain_order=order_of(BLOCK, 8))
    found = compared(loan, event(loan, DRAWS[0], 1_000), event(loan, PAYMENTS[0], paid, log=9))
    told = [] if is_agreed else [f"repayment {repayment.pk} amount is 300, adds up to {paid}"]
    assert [str(finding) for finding in found.findings] == told


def test_what_landed_lately_must_stand_under_its_own_operation(world: BooksRows) -> None:
    loan = drawn(world)
    uid = Operation.objects.get(pk=loan.borrow_operation_id).uid
    fresh = BLOCK - 1
    assert compared(loan, event(loan, DRAWS[0], 1_000, uid=uid), fresh=fresh).findings == []
    [finding] = compared(loan, event(loan, DRAWS[0], 1_000, uid="0xelse"), fresh=fresh).findings
    assert str(finding) == f"loan {loan.internal_loan_id} principal_amount is 1000, adds up to 0"


def test_a_run_counts_what_it_compared_over_all_its_ranges(world: BooksRows) -> None:
    loan = drawn(world)
    operation = world.operation(kind="repay")
    world.repayment(loan, 300, status="SETTLED", operation=operation, chain_order=order_of(BLOCK, 8))
    record = loan_record(loan)
    events = {record.solvency_position_id: [event(loan, DRAWS[0], 1_000), event(loan, PAYMENTS[0], 300, log=9)]}
    run = Comparing(MOMENT, 0)
    for _ in range(2):
        run._match_events(
            EventMatcher(MOMENT, since=BLOCK - 1, fresh=BLOCK), [record], records.repayments([record.pk]), events
        )
    assert run.checked == {"loan": 2, "repayment": 2}
    assert run.flows == {EXECUTOR: 10}
    assert (run.findings.total, run.motions) == (0, {})


def test_a_run_keeps_what_its_ranges_found_and_what_is_under_way(world: BooksRows) -> None:
    lost, waiting = drawn(world), drawn(world, "EXECUTED")
    run = Comparing(MOMENT, 0)
    for loan in (lost, waiting):
        run._match_events(EventMatcher(MOMENT, since=BLOCK - 1, fresh=BLOCK), [loan_record(loan)], {}, {})
    assert [str(finding) for finding in run.findings] == [
        f"loan {lost.internal_loan_id} principal_amount is 1000, adds up to 0"
    ]
    assert run.motions == {subject(waiting): None}


def test_a_full_run_takes_what_is_final_by_its_place_and_a_quick_one_no_more_than_the_last_run_saw(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Any, int]] = []
    monkeypatch.setattr(
        Comparing,
        "_compare_positions",
        lambda _self, chosen, _sums, *, since, activity=None: begun.append((chosen, since)),
    )
    Comparing(None, 0).compare_all()
    assert begun == [(None, -1)]
    final = MOMENT.final_block
    assert [Comparing(MOMENT, 0)._fresh(since) for since in (-1, 0, final - 1, final + 1)] == [
        final,
        0,
        final - 1,
        final,
    ]
