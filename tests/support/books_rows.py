"""The books without a chain: rows as an operation left them, others beside them that nothing may touch, and what an act
changed, to the last field.
"""

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model

from audit.models import AuditEntry
from chain.lending.encoding import DEBT_UPDATED_TOPIC, REPAID_TOPIC, uint_topic
from chain.models import FundingTransfer, Operation
from loans.chain_order import order_of
from loans.models import (
    FundingSource,
    LoanStatus,
    OaidCredit,
    PartnerLoan,
    PartnerSpending,
    Repayment,
    SolvencyPosition,
    UndoneMovement,
)
from partner_platform.core.database.transactions import run_in_transaction
from partners.models import Partner, PartnerDailyUsage
from tests.factories import LoanFactory, OperationFactory, PartnerFactory

DAY = dt.date(2026, 1, 5)
BLOCK = 1_000  # where operations were executed
TIME = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
MOMENT = int(TIME.timestamp())
BLOCK_HASH = "0x" + "b1" * 32
USER, TOKEN = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7", "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"

Row = dict[str, Any]


class BooksRows:
    """Makes rows, numbered so that no two are alike."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def partner(self, **sums: Any) -> Partner:
        """A partner with a usage row of `DAY`; `borrowed` is what is used of it."""
        borrowed = sums.pop("borrowed", 0)
        partner = PartnerFactory.create(**sums)
        PartnerDailyUsage.objects.create(partner=partner, day=DAY, borrowed=borrowed)
        return partner

    def position(self, **fields: Any) -> SolvencyPosition:
        """An active position, with the row of its OAID's credit; `reserved` is what is in flight there."""
        number = next(self._numbers)
        OaidCredit.objects.create(oaid_token_id=number, reserved=fields.pop("reserved", 0))
        values = {
            "oaid_token_id": number,
            "user_wallet": USER,
            "collateral_token": TOKEN,
            "collateral_amount": 10**18,
            "collateral_value_usd": 10**10,
            "usdc_borrowed": 0,
            "token_type": "RWA",
            "active": True,
        }
        return SolvencyPosition.objects.create(position_id=100 + number, **{**values, **fields})

    def operation(self, state: str = "CONFIRMED", *, kind: str = "borrow", **fields: Any) -> Operation:
        """An operation that the executor executed in `BLOCK`, unless the fields say otherwise."""
        number = next(self._numbers)
        values = {
            "chain_id": settings.CHAIN_ID,
            "executor": settings.PLATFORM_EXECUTOR_ADDRESS,
            "tx_hash": f"0x{number:064x}",
            "block_number": BLOCK,
            "block_hash": BLOCK_HASH,
            "block_time": TIME,
            "outcome_logs": [],
        }
        return OperationFactory.create(key=f"{kind}:{number}", kind=kind, state=state, **{**values, **fields})

    def loan(
        self,
        partner: Partner,
        position: SolvencyPosition,
        principal: int = 1_000,
        status: str = "ACTIVE",
        **fields: Any,
    ) -> PartnerLoan:
        """A loan of that principal that owes all of it, where its status owes anything."""
        number = next(self._numbers)
        owes = status in (LoanStatus.PENDING, LoanStatus.ACTIVE, LoanStatus.DEFAULTED)
        drawn = status not in (LoanStatus.PENDING, LoanStatus.FAILED)
        values = {
            "borrow_operation": fields.pop("operation", None) or self.operation(),
            "outstanding_principal": principal if owes else 0,
            "bearing_principal": principal if owes and drawn else 0,
            "draw_order": order_of(10, number) if drawn else 0,
            "interest_since": MOMENT if drawn else 0,
        }
        return LoanFactory.create(
            partner=partner,
            partner_loan_id=f"loan-{number}",
            user_wallet=position.user_wallet,
            oaid_token_id=position.oaid_token_id,
            solvency_position_id=position.position_id,
            principal_amount=principal,
            status=status,
            daily_usage_day=DAY,
            **{**values, **fields},
        )

    def repayment(self, loan: PartnerLoan, amount: int, **fields: Any) -> Repayment:
        """A repayment of a loan, PENDING unless the fields say otherwise."""
        values: Row = {"funding": FundingSource.PULLED} if "operation" in fields else self._pulled()
        return Repayment.objects.create(loan=loan, partner=loan.partner, amount=amount, **{**values, **fields})

    def _pulled(self) -> Row:
        return {"operation": self.operation(kind="repay"), "funding": FundingSource.PULLED}

    def transfer(self, value: int, used: int) -> FundingTransfer:
        number = next(self._numbers)
        return FundingTransfer.objects.create(
            tx_hash=f"0x{number:064x}",
            sender=USER,
            recipient=TOKEN,
            value=value,
            used=used,
            block_number=BLOCK,
            block_hash=BLOCK_HASH,
        )

    def spending(self, partner: Partner, spent: int, **fields: Any) -> PartnerSpending:
        """What the partner's repayments took from the executor, as an account, up to block 9."""
        values: Row = {"account": settings.PLATFORM_EXECUTOR_ADDRESS, "settled_block": 9}
        return PartnerSpending.objects.create(partner=partner, spent=spent, **{**values, **fields})

    def bystanders(self) -> None:
        """Of another partner and on other positions, one of everything: an act without its conditions would meet it."""
        partner = self.partner(
            borrowed=9_000,
            current_outstanding=9_000,
            total_borrowed=9_000,
            total_repaid=9_000,
            active_loans=9,
            repaid_loans=9,
        )
        self.spending(partner, 9_000)
        self.spending(partner, 9_000, account=USER)
        for status in LoanStatus.values:
            for in_flight in (False, True):
                position = self.position(
                    reserved=1_000,
                    total_partner_debt=1_000,
                    pool_principal=1_000,
                    loans_principal=1_000,
                    ledger_order=order_of(9, 9),
                )
                loan = self.loan(partner, position, 1_000, status, repayment_in_flight=in_flight)
                self.repayment(loan, 1_000, status="PENDING")
                self.repayment(loan, 1_000, status="FAILED", operation=self.operation("FAILED", kind="repay"))
                transfer = self.transfer(1_000, 1_000)
                self.repayment(loan, 1_000, status="SETTLED", funding=FundingSource.TRANSFER, funding_transfer=transfer)


def usage_of(partner: Partner, day: dt.date = DAY) -> Any:
    """The key of the partner's usage row of the day."""
    return PartnerDailyUsage.objects.get(partner=partner, day=day).pk


def pool_log(pool: str, position_id: int, principal: int, accrued: int, rate: int, index: int = 3) -> Row:
    """The pool's `DebtUpdated`, as an operation keeps it."""
    topics = [DEBT_UPDATED_TOPIC, uint_topic(position_id)]
    data = "0x" + "".join(f"{value:064x}" for value in (principal, accrued, rate))
    return {"address": pool, "topics": topics, "data": data, "logIndex": hex(index)}


def repaid_log(executor: str, position_id: int, paid: int, debt_after: int = 0, index: int = 5) -> Row:
    """The executor's `Repaid`."""
    data = "0x" + f"{paid:064x}{debt_after:064x}"
    return {
        "address": executor,
        "topics": [REPAID_TOPIC, uint_topic(position_id)],
        "data": data,
        "logIndex": hex(index),
    }


def proven_by(tx_hash: str, index: int = 3) -> Row:
    """The columns of a loan or repayment that a log of the transaction in `BLOCK` proves."""
    return {
        "evidence_order": order_of(BLOCK, index),
        "evidence_tx_hash": tx_hash,
        "evidence_block_hash": BLOCK_HASH,
    }


def everything() -> dict[Any, Row]:
    """Every row of the books, by its key."""
    found = [model for app in ("chain", "partners", "loans") for model in apps.get_app_config(app).get_models()]
    models = [model for model in found if model is not UndoneMovement]  # what a rollback keeps of what it takes back
    return {row["pk"]: row for model in models for row in _rows(model)}


def _rows(model: type[Model]) -> Iterator[Row]:
    uncounted = "event_sequence"  # goes up with each event, a rollback's too (`tests/loans/test_loan_events.py`)
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = [field.attname for field in fields if field.name != uncounted]
    for row in model._default_manager.values("pk", *names):
        yield {**row, "": model.__name__}


def changed_by(act: Callable[[], object]) -> tuple[dict[Any, Row], list[Row]]:
    """The new values of the rows that `act` changed in its transaction, by their keys, and the rows it made."""
    before = everything()
    run_in_transaction(act)
    after = everything()
    assert before.keys() <= after.keys(), "a row is gone"
    changes = {
        key: {name: value for name, value in after[key].items() if before[key][name] != value}
        for key in before
        if before[key] != after[key]
    }
    return changes, [row for key, row in after.items() if key not in before]


def told() -> list[tuple[str, str, Row | None, Row | None]]:
    """The audit entries about loans and positions: action, target, before, after."""
    entries = AuditEntry.objects.exclude(target__startswith="partner:").order_by("timestamp", "target")
    return [(entry.action, entry.target, entry.before, entry.after) for entry in entries]
