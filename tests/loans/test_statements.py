"""Statements: each line where and when the books have it, months that chain, and the same bytes every time."""

import datetime as dt
import json
import random
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from chain.models import ChainEvent
from loans.chain_order import block_of
from loans.debt.interest import SCALE
from loans.ledger.movement import Movement
from loans.models import (
    FundingSource,
    LedgerEntry,
    LoanStatus,
    OaidCredit,
    PartnerLoan,
    Repayment,
    SolvencyPosition,
    UndoneMovement,
)
from loans.rollback.positions import rollback_ledger
from loans.services import onchain
from loans.services.settle_borrow import settle_borrow
from loans.services.settle_repayment import settle_repayment
from loans.statements import as_json, as_pdf, reading
from loans.statements.as_csv import csv_statement
from loans.statements.as_json import json_chunks
from loans.statements.as_pdf import pdf_bytes
from loans.statements.lines import BalanceLine, LineKind
from loans.statements.months import month_at, read_month
from loans.statements.statement import Statement, open_statement
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest
from partner_platform.core.ethereum import parse_address
from partners.models import ApiKey, Partner
from tests.factories import ApiKeyFactory, LoanFactory, PartnerFactory
from tests.support.acting import group_of
from tests.support.books_rows import BooksRows, pool_log, repaid_log
from tests.support.planner import assert_uses_index
from tests.support.signing_in import tokens_of

pytestmark = pytest.mark.django_db

EXECUTOR, POOL = parse_address("0x" + "e1" * 20), "0x" + "b0" * 20
OCTOBER, NOVEMBER, DECEMBER = "2026-10", "2026-11", "2026-12"


class Story:
    """A partner whose loans are drawn, repaid, liquidated and undone by the services of the books."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)
        self.block = 1_000
        monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: self.now))
        self.rows = BooksRows()
        self.partner = self.rows.partner(borrowed=10**6)

    def at(self, day: int, month: int = 10, hour: int = 12) -> None:
        self.now = dt.datetime(2026, month, day, hour, tzinfo=dt.UTC)

    def accept(self, principal: int, fee: int = 0) -> PartnerLoan:
        """A loan that is PENDING, on a position of its own."""
        position = self.rows.position(reserved=principal)
        operation = self._operation([pool_log(POOL, position.position_id, principal, 0, 0)], kind="borrow")
        Partner.objects.filter(pk=self.partner.pk).update(
            current_outstanding=Partner.objects.get(pk=self.partner.pk).current_outstanding + principal
        )
        return self.rows.loan(
            self.partner,
            position,
            principal,
            "PENDING",
            operation=operation,
            platform_fee_charged=fee,
            created_at=self.now,
        )

    def settle(self, loan: PartnerLoan, *, interest: int = 0) -> PartnerLoan:
        """It is drawn now, and owes so much interest at once."""
        operation = loan.borrow_operation
        run_in_transaction(lambda: settle_borrow(loan, operation))
        type(operation).objects.filter(pk=operation.pk).update(acknowledged=True)
        PartnerLoan.objects.filter(pk=loan.pk).update(accrued_scaled=interest * SCALE)
        accrued = {"pool_accrued_scaled": interest * SCALE, "loans_accrued_scaled": interest * SCALE}
        SolvencyPosition.objects.filter(position_id=loan.solvency_position_id).update(**accrued)
        return PartnerLoan.objects.get(pk=loan.pk)

    def settle_again(self, loan: PartnerLoan) -> PartnerLoan:
        """What waits, or a reorg took back, is mined now."""
        self.block += 1
        operations = type(loan.borrow_operation).objects.filter(pk=loan.borrow_operation_id)
        operations.update(block_number=self.block, block_time=self.now, tx_hash=f"0x{self.block:064x}")
        return self.settle(PartnerLoan.objects.get(pk=loan.pk))

    def draw(self, principal: int, fee: int = 0, *, interest: int = 0) -> PartnerLoan:
        return self.settle(self.accept(principal, fee), interest=interest)

    def repay(self, loan: PartnerLoan, amount: int) -> None:
        """By the partner, interest first."""
        loan = PartnerLoan.objects.get(pk=loan.pk)
        owed = loan.accrued_scaled // SCALE
        after = (loan.outstanding_principal - max(amount - owed, 0), max(owed - amount, 0) * SCALE)
        logs = [pool_log(POOL, loan.solvency_position_id, *after, 0), repaid_log(EXECUTOR, 0, amount)]
        operation = self._operation(logs, kind="repay")
        PartnerLoan.objects.filter(pk=loan.pk).update(repayment_in_flight=True)
        repayment = self.rows.repayment(
            loan, amount, operation=operation, funding=FundingSource.PULLED, created_at=self.now
        )
        run_in_transaction(lambda: settle_repayment(repayment, operation))
        type(operation).objects.filter(pk=operation.pk).update(acknowledged=True)

    def user_repays(self, loan: PartnerLoan, amount: int) -> None:
        movement, event = self._onchain(loan, amount=amount)
        run_in_transaction(lambda: onchain.user_repaid(movement, event))

    def liquidate(self, loan: PartnerLoan, recovered: int) -> None:
        movement, event = self._onchain(loan, debtPaid=recovered)
        run_in_transaction(lambda: onchain.liquidated(movement, event))

    def undo_last(self, loan: PartnerLoan) -> None:
        """A reorg takes back the newest that happened to the loan."""
        entries = LedgerEntry.objects.filter(position_id=loan.solvency_position_id).order_by("-order")
        if entry := entries.first():
            rollback_ledger(loan.solvency_position_id, entry.order)

    def _operation(self, logs: list[dict[str, Any]], *, kind: str) -> Any:
        self.block += 1
        return self.rows.operation(kind=kind, outcome_logs=logs, block_number=self.block, block_time=self.now)

    def _onchain(self, loan: PartnerLoan, **args: int) -> tuple[Movement, ChainEvent]:
        self.block += 1
        place: dict[str, Any] = {
            "block_number": self.block,
            "log_index": 3,
            "tx_hash": f"0x{self.block:064x}",
            "block_hash": "0x" + "b1" * 32,
        }
        moment, position = int(self.now.timestamp()), loan.solvency_position_id
        told = {name: str(value) for name, value in args.items()}
        event = ChainEvent(**place, block_time=moment, name="SolvencyVault.any", position_id=position, args=told)
        return Movement(**place, timestamp=moment, position_id=position, after=None), event


@pytest.fixture
def story(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Story:
    settings.PLATFORM_EXECUTOR_ADDRESS = EXECUTOR
    settings.SENIOR_POOL_ADDRESS = POOL
    return Story(monkeypatch)


def read(partner: Partner, month: str) -> tuple[Statement, list[BalanceLine]]:
    statement = open_statement(partner, month)
    return statement, list(statement.lines())


def told(lines: list[BalanceLine]) -> list[tuple[str, str | None, int, int]]:
    return [(line.kind, line.undoes, line.amount, line.change) for line in lines]


# --- what a month shows ---


def test_a_month_of_everything_to_the_base_unit_with_its_transactions(story: Story) -> None:
    first = story.draw(1_000, 5, interest=30)
    story.at(7)
    story.repay(first, 230)
    story.at(8)
    story.user_repays(first, 100)
    story.at(9)
    second = story.draw(500, 2, interest=10)
    story.at(20)
    story.liquidate(second, 210)
    story.at(1, 11)

    statement, lines = read(story.partner, OCTOBER)
    assert told(lines) == [
        ("BORROW", None, 1_000, 1_000),
        ("FEE", None, 5, 0),
        ("REPAYMENT_PRINCIPAL", None, 200, -200),
        ("REPAYMENT_INTEREST", None, 30, 0),
        ("REPAYMENT_PRINCIPAL", None, 100, -100),
        ("BORROW", None, 500, 500),
        ("FEE", None, 2, 0),
        ("LIQUIDATION", None, 200, -200),
        ("REPAYMENT_INTEREST", None, 10, 0),
        ("WRITE_OFF", None, 300, -300),
    ]
    assert (statement.opening, statement.balance, statement.is_provisional, statement.pending) == (0, 700, False, None)
    totals = statement.totals
    assert vars(totals) == {"borrowed": 1_500, "repaid": 540, "fees": 7, "interest": 40, "written_off": 300}
    drawn = PartnerLoan.objects.get(pk=first.pk)
    assert (lines[0].moment, lines[0].tx_hash, lines[0].block) == (
        dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC),
        drawn.borrow_tx_hash,
        block_of(drawn.draw_order),
    )
    assert (lines[0].partner_loan_id, lines[-1].partner_loan_id) == (first.partner_loan_id, second.partner_loan_id)
    assert lines[-1].moment == dt.datetime(2026, 10, 20, 12, tzinfo=dt.UTC)
    assert (
        (lines[-1].tx_hash, lines[-1].block)
        == (lines[-2].tx_hash, lines[-2].block)
        == (
            PartnerLoan.objects.get(pk=second.pk).repay_tx_hash,
            story.block,
        )
    )
    assert read(story.partner, NOVEMBER)[0].opening == 700
    assert told(read(PartnerFactory.create(), OCTOBER)[1]) == []


def test_the_first_and_the_last_moment_of_a_month_are_its_own_and_no_other_months(story: Story) -> None:
    story.now = dt.datetime(2026, 10, 31, 23, 59, 59, tzinfo=dt.UTC)
    story.draw(100)
    story.now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    story.draw(10)
    story.at(1, 12)
    assert [line.amount for line in read(story.partner, OCTOBER)[1]] == [100]
    assert [line.amount for line in read(story.partner, NOVEMBER)[1]] == [10]
    december = month_at(dt.datetime(2026, 12, 31, tzinfo=dt.UTC))
    assert (str(december), december.ends) == (DECEMBER, dt.datetime(2027, 1, 1, tzinfo=dt.UTC))


def test_what_a_reorg_undid_stays_where_it_was_and_is_taken_back_when_it_was_undone(story: Story) -> None:
    loan = story.draw(1_000, 5)
    story.at(31)
    story.user_repays(loan, 300)
    closed = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    story.now = closed
    assert read(story.partner, OCTOBER)[0].opening == 0
    assert open_statement(story.partner, NOVEMBER).opening == 700

    story.at(1, 11, 13)
    story.undo_last(loan)
    story.undo_last(loan)  # the draw too
    assert told(read(story.partner, OCTOBER)[1]) == [
        ("BORROW", None, 1_000, 1_000),
        ("FEE", None, 5, 0),
        ("REPAYMENT_PRINCIPAL", None, 300, -300),
    ]
    statement, lines = read(story.partner, NOVEMBER)
    assert sorted(told(lines), key=str) == [
        ("UNDONE", "BORROW", -1_000, -1_000),
        ("UNDONE", "FEE", -5, 0),
        ("UNDONE", "REPAYMENT_PRINCIPAL", -300, 300),
    ]
    assert {line.moment for line in lines} == {story.now}
    assert (statement.opening, statement.balance, statement.pending) == (700, 0, 1_000)
    assert vars(statement.totals) == {"borrowed": -1_000, "repaid": -300, "fees": -5, "interest": 0, "written_off": 0}
    assert open_statement(story.partner, OCTOBER).is_provisional  # it may be mined again, in October

    story.at(2, 11)
    story.settle_again(loan)
    assert read(story.partner, NOVEMBER)[0].balance == 1_000
    assert not open_statement(story.partner, OCTOBER).is_provisional


def test_an_undone_liquidation_gives_back_what_was_recovered_and_what_was_lost(story: Story) -> None:
    loan = story.draw(1_000, interest=50)
    story.at(6)
    story.liquidate(loan, 250)
    story.at(7)
    story.undo_last(loan)
    statement, lines = read(story.partner, OCTOBER)
    assert told(lines)[1:] == [
        ("LIQUIDATION", None, 200, -200),
        ("REPAYMENT_INTEREST", None, 50, 0),
        ("WRITE_OFF", None, 800, -800),
        ("UNDONE", "LIQUIDATION", -200, 200),
        ("UNDONE", "REPAYMENT_INTEREST", -50, 0),
        ("UNDONE", "WRITE_OFF", -800, 800),
    ]
    assert (statement.balance, statement.totals.written_off) == (1_000, 0)
    assert PartnerLoan.objects.get(pk=loan.pk).liquidated_at is None


def test_a_month_is_provisional_until_it_is_over_and_all_that_was_accepted_in_it_is_decided(story: Story) -> None:
    waiting = story.accept(400)
    statement = open_statement(story.partner, OCTOBER)
    assert (statement.is_provisional, statement.pending, statement.balance) == (True, 400, 0)
    story.at(1, 11)
    assert open_statement(story.partner, OCTOBER).is_provisional
    assert not open_statement(story.partner, "2026-09").is_provisional
    operation = waiting.borrow_operation
    type(operation).objects.filter(pk=operation.pk).update(block_time=dt.datetime(2026, 10, 31, tzinfo=dt.UTC))
    operation.refresh_from_db()
    story.settle(waiting)
    assert (open_statement(story.partner, OCTOBER).is_provisional, read(story.partner, OCTOBER)[0].balance) == (
        False,
        400,
    )


@pytest.mark.parametrize("why", ["an event of October is not applied", "a rollback is not finished"])
def test_a_month_is_provisional_while_its_books_are_behind_the_chain(story: Story, why: str) -> None:
    loan, other = story.draw(1_000), LoanFactory.create(status=LoanStatus.ACTIVE)
    story.at(1, 11)
    assert not open_statement(story.partner, OCTOBER).is_provisional
    if why == "a rollback is not finished":
        SolvencyPosition.objects.filter(position_id=loan.solvency_position_id).update(undo_from=1)
    else:
        _, event = story._onchain(loan, amount=300)
        event.block_time = int(dt.datetime(2026, 10, 31, 23, 59, 59, tzinfo=dt.UTC).timestamp())
        event.save(force_insert=True)
        assert not open_statement(story.partner, "2026-09").is_provisional
    assert open_statement(story.partner, OCTOBER).is_provisional
    assert not open_statement(other.partner, OCTOBER).is_provisional
    SolvencyPosition.objects.update(undo_from=None)
    ChainEvent.objects.update(applied=True)
    assert not open_statement(story.partner, OCTOBER).is_provisional


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-10", "2026-10-01", "", "x", "1999-12", "٢٠٢٦-10", "2027-01"])
def test_what_is_no_month_or_has_not_begun_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_month(text, dt.datetime(2026, 12, 31, tzinfo=dt.UTC))
    assert list(refused.value.details) == ["month"]


# --- property: months chain and equal the books ---


def random_history(story: Story, seed: int) -> dict[str, int]:
    """A quarter of a year; answers each month's closing balance as it was when the month was over."""
    chance = random.Random(seed)  # noqa: S311 - the same history for the same seed
    loans: list[PartnerLoan] = []
    closed: dict[str, int] = {}
    month = 10
    for _ in range(26):
        story.now += dt.timedelta(hours=chance.randrange(1, 160), seconds=chance.randrange(60))
        if story.now.year == 2027:
            break
        if story.now.month != month:
            closed[f"2026-{month:02d}"] = open_statement(story.partner, f"2026-{month + 1:02d}").opening
            month += 1
        act, loan = chance.random(), (chance.choice(loans) if loans else None)
        now = PartnerLoan.objects.get(pk=loan.pk) if loan else None
        owed = now.outstanding_principal + now.accrued_scaled // SCALE if now else 0
        if now is None or act < 0.3:
            loans.append(story.draw(chance.randrange(100, 2_000), chance.randrange(5), interest=chance.randrange(40)))
        elif act < 0.4:
            loans.append(story.accept(chance.randrange(100, 500)))
        elif now.status == LoanStatus.PENDING:
            story.settle_again(now)
        elif act > 0.75:
            story.undo_last(now)
        elif now.status == LoanStatus.ACTIVE and not now.repayment_in_flight and owed:
            amount = chance.choice([owed, chance.randrange(1, owed + 1)])
            chance.choice([story.repay, story.user_repays, story.liquidate])(now, amount)
    return closed


@pytest.mark.parametrize("seed", range(3))
def test_the_months_of_any_history_chain_and_equal_the_books(
    story: Story, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)
    LoanFactory.create(borrowed_at=story.now, status="ACTIVE")  # of another partner
    closed = random_history(story, seed)
    story.at(31, 12, 23)
    partner = Partner.objects.get(pk=story.partner.pk)
    balance, sums, by_loan = 0, {"borrowed": 0, "repaid": 0}, dict[str, int]()
    for month in ("2026-09", OCTOBER, NOVEMBER, DECEMBER):
        statement, lines = read(partner, month)
        assert statement.opening == balance, month
        assert statement.balance == balance + sum(line.change for line in lines)
        assert [line.moment for line in lines] == sorted(line.moment for line in lines)
        assert closed.get(month, statement.balance) == statement.balance, "a month that was over changed"
        totals = statement.totals
        left = totals.borrowed - (totals.repaid - totals.interest) - totals.written_off
        assert statement.balance == balance + left
        balance = statement.balance
        for line in lines:
            by_loan[line.partner_loan_id] = by_loan.get(line.partner_loan_id, 0) + line.change
        sums = {name: value + getattr(totals, name) for name, value in sums.items()}
        kinds = {line.kind for line in lines}
        assert (LineKind.UNDONE in kinds) == any(line.undoes for line in lines)
    assert balance + reading.pending_principal(partner) == partner.current_outstanding
    assert (sums["borrowed"], sums["repaid"]) == (partner.total_borrowed, partner.total_repaid)
    drawn = PartnerLoan.objects.filter(partner=partner).exclude(status__in=["PENDING", "FAILED"])
    owed = {loan.partner_loan_id: loan.outstanding_principal for loan in drawn}
    assert {name: owes for name, owes in by_loan.items() if owes} == {name: owes for name, owes in owed.items() if owes}
    assert UndoneMovement.objects.exists()
    assert OaidCredit.objects.exists()


# --- forms ---


def test_json_csv_and_pdf_say_the_same_and_the_same_bytes_each_time(story: Story, monkeypatch: Any) -> None:
    loan = story.draw(1_000_000, 5_000)
    PartnerLoan.objects.filter(pk=loan.pk).update(partner_loan_id="-2+3")
    Partner.objects.filter(pk=story.partner.pk).update(partner_name="Łódź Lending")
    partner = Partner.objects.get(pk=story.partner.pk)
    story.at(9, 10)
    story.repay(loan, 400_000)
    story.at(2, 11)
    monkeypatch.setattr(as_json, "LINES_IN_PIECE", 2)

    shown = json.loads("".join(json_chunks(open_statement(partner, OCTOBER))))
    lines = shown.pop("lines")
    assert shown == {
        "partnerId": partner.partner_id,
        "partnerName": "Łódź Lending",
        "month": "2026-10",
        "from": "2026-10-01T00:00:00Z",
        "until": "2026-11-01T00:00:00Z",
        "isProvisional": False,
        "openingBalance": "0",
        "closingBalance": "600000",
        "pending": None,
        "totals": {"borrowed": "1000000", "repaid": "400000", "fees": "5000", "interest": "0", "writtenOff": "0"},
    }
    borrow_hash = PartnerLoan.objects.get().borrow_tx_hash
    repay_hash = Repayment.objects.get().tx_hash
    assert lines[0] == {
        "date": "2026-10-05T12:00:00Z",
        "kind": "BORROW",
        "undoes": None,
        "partnerLoanId": "-2+3",
        "amount": "1000000",
        "balanceChange": "1000000",
        "balance": "1000000",
        "txHash": borrow_hash,
        "blockNumber": 1_001,
    }
    text = "".join(csv_statement(open_statement(partner, OCTOBER)))
    assert text.splitlines() == [
        "date,kind,undoes,partnerLoanId,amount,balanceChange,balance,txHash,blockNumber",
        "2026-10-01T00:00:00Z,OPENING,,,,,0,,",
        f"2026-10-05T12:00:00Z,BORROW,,'-2+3,1000000,1000000,1000000,{borrow_hash},1001",
        f"2026-10-05T12:00:00Z,FEE,,'-2+3,5000,0,1000000,{borrow_hash},1001",
        f"2026-10-09T12:00:00Z,REPAYMENT_PRINCIPAL,,'-2+3,400000,-400000,600000,{repay_hash},1002",
        "2026-11-01T00:00:00Z,CLOSING,,,,,600000,,",
        "2026-11-01T00:00:00Z,TOTAL_BORROWED,,,1000000,,,,",
        "2026-11-01T00:00:00Z,TOTAL_REPAID,,,400000,,,,",
        "2026-11-01T00:00:00Z,TOTAL_FEES,,,5000,,,,",
        "2026-11-01T00:00:00Z,TOTAL_INTEREST,,,0,,,,",
        "2026-11-01T00:00:00Z,TOTAL_WRITTEN_OFF,,,0,,,,",
    ]
    pdf = pdf_bytes(open_statement(partner, OCTOBER))
    story.at(20, 12)
    assert pdf.startswith(b"%PDF-")
    assert pdf_bytes(open_statement(partner, OCTOBER)) == pdf
    assert "".join(csv_statement(open_statement(partner, OCTOBER))) == text
    monkeypatch.setattr(as_pdf, "MAX_LINES", 2)
    with pytest.raises(BadRequest, match="more than 2 lines"):
        pdf_bytes(open_statement(partner, OCTOBER))
    assert "PROVISIONAL" in "".join(csv_statement(open_statement(partner, DECEMBER)))


def test_a_large_month_is_read_in_pages_and_its_queries_are_found_in_order_by_an_index(
    story: Story, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(reading, "PAGE", 4)
    moment = story.now
    loans = LoanFactory.build_batch(11, partner=story.partner, status="ACTIVE", borrowed_at=moment, draw_order=2**20)
    for loan in loans:
        loan.borrow_operation.save()
    PartnerLoan.objects.bulk_create(loans)
    with django_assert_max_num_queries(10):  # three pages of loans, one of each other stream, the sums before
        lines = list(reading.booked_in(story.partner, month_at(moment)))
    assert sorted(line.partner_loan_id for line in lines) == sorted(loan.partner_loan_id for loan in loans)
    queries: list[tuple[Any, str]] = [
        (reading.drawn_query(story.partner), "borrowed_at"),
        (reading.settled_query(story.partner), "settled_at"),
        (reading.liquidated_query(story.partner), "liquidated_at"),
        (reading.undone_query(story.partner), "moved_at"),
        (reading.undone_query(story.partner), "undone_at"),
    ]
    for query, by in queries:
        found = reading.in_month(query, by, month_at(moment))
        assert_uses_index(found[:500])
        assert_uses_index(reading.after_place(found, by, moment, story.partner.pk)[:500])


# --- the API and the command ---


def my_statement(key: str, month: str, accept: str = "application/json") -> Any:
    headers = {"Authorization": f"Bearer {key}", "Accept": accept}
    return Client().get(f"/partners/my/statements/{month}", headers=headers)


def test_a_partner_reads_its_own_month_in_each_form_and_no_other_partners(story: Story) -> None:
    key, other = "pk_test_sandbox_" + "a" * 32, "pk_test_sandbox_" + "b" * 32
    ApiKeyFactory.create(partner=story.partner, key=key, scopes=["read"])
    ApiKeyFactory.create(key=other, scopes=["borrow"])
    loan = story.draw(1_000)
    shown = my_statement(key, OCTOBER)
    assert (shown.status_code, shown["Content-Type"], shown["Vary"].count("Accept")) == (200, "application/json", 1)
    assert [line["partnerLoanId"] for line in shown.json()["lines"]] == [loan.partner_loan_id]
    assert shown.json()["isProvisional"] is True
    text = my_statement(key, OCTOBER, "text/csv")
    assert text["Content-Disposition"].endswith(f'statement_{story.partner.partner_id}_2026-10.csv"')
    assert text.content.decode().splitlines()[2].split(",")[1] == "BORROW"
    pdf = my_statement(key, OCTOBER, "application/pdf")
    assert (pdf["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    future = my_statement(key, NOVEMBER)
    assert (future.status_code, future.json()["details"]) == (400, {"month": ["Has not begun."]})
    assert my_statement(other, OCTOBER).json()["code"] == "missing_scope"
    ApiKey.objects.update(scopes=["read"])
    assert my_statement(other, OCTOBER).json()["lines"] == []


def test_staff_with_the_right_read_any_partners_month(story: Story) -> None:
    loan = story.draw(1_000)
    answers = {}
    for role in ("auditor", "viewer"):
        user = User.objects.create(username=role, is_staff=True)
        user.groups.add(group_of(role))
        with pytest.MonkeyPatch.context() as present:  # a token ends by the machine's clock, whatever ours says
            present.setattr(clock, "timezone", timezone)
            headers = {"Authorization": f"Bearer {tokens_of(user).access}"}
        path = f"/admin/partners/{story.partner.partner_id}/statements/{OCTOBER}"
        answers[role] = Client().get(path, headers=headers)
        if role == "auditor":
            unknown = Client().get(f"/admin/partners/partner_nobody/statements/{OCTOBER}", headers=headers)
            assert unknown.json()["code"] == "partner_not_found"
    assert answers["auditor"].json()["lines"][0]["partnerLoanId"] == loan.partner_loan_id
    assert (answers["viewer"].status_code, answers["viewer"].json()["details"]) == (
        403,
        {"right": "staff.view_statements"},
    )


def test_the_command_shows_a_month_or_writes_it_to_a_file(story: Story, tmp_path: Path) -> None:
    story.draw(1_000)
    said = StringIO()
    call_command("statement", story.partner.partner_id, OCTOBER, stdout=said)
    assert json.loads(said.getvalue())["closingBalance"] == "1000"
    for form in ("csv", "pdf"):
        file = tmp_path / f"october.{form}"
        call_command(
            "statement", story.partner.partner_id, OCTOBER, f"--format={form}", f"--output={file}", stdout=StringIO()
        )
        assert BytesIO(file.read_bytes()).read(4) in (b"date", b"%PDF")
    wrong: list[tuple[list[str], str]] = [
        ([story.partner.partner_id, "2027-01"], "month: Has not begun"),
        (["partner_nobody", OCTOBER], "There is no partner"),
        ([story.partner.partner_id, OCTOBER, "--format=pdf"], "A PDF needs --output"),
        ([story.partner.partner_id, OCTOBER, f"--output={tmp_path}/none/x"], "No such file"),
    ]
    for arguments, why in wrong:
        with pytest.raises(CommandError, match=why):
            call_command("statement", *arguments, stdout=StringIO())
