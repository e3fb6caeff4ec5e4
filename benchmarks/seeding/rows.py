"""How a history stands in the tables: loans with their operations, repayments and transfers, positions, events, sums.

Each sum (a partner's, a day's, an OAID's, a position's, a transfer's use) is added up here from the history, not by
what `loans.books` would say: the reconciliation that looks at it afterwards is to find it so by itself.
"""

import datetime as dt
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from benchmarks.seeding.bulk import BATCH, Row, Table
from benchmarks.seeding.history import History, Loan, Move, Payment, Place, Position
from chain.lending.encoding import uid_of
from chain.models import (
    ChainEvent,
    ChainTransaction,
    FundingTransfer,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionState,
)
from loans.ledger.movement import order_of
from loans.models import OaidCredit, PartnerLoan, Repayment, RepaymentStatus, SolvencyPosition
from partners.models import Partner, PartnerDailyUsage

OPERATIONS_PER_TRANSACTION = 10
OAID_LIMIT = 10**12  # of each seeded OAID, base units
FUNDING = {"TRANSFER": "TRANSFER", "PULLED": "PULLED", "USER": "ONCHAIN", "LIQUIDATION": "ONCHAIN"}
REPAID_BY = {"TRANSFER": "PARTNER", "PULLED": "PARTNER", "USER": "USER", "LIQUIDATION": "LIQUIDATION"}


class Books:
    """Writes a history's rows; what it added up on the way is written by `finish`."""

    def __init__(self, history: History, partners: list[Partner], wallet: PlatformWallet, addresses: dict[str, str]):
        self.history, self.partners, self.wallet, self.addresses = history, partners, wallet, addresses
        self.count: Counter[str] = Counter()
        self.balance = 0  # of the platform account, base units
        self.nonces = 0
        self._random = random.Random(11)  # noqa: S311 - keys of rows
        self._sums: dict[int, Counter[str]] = {number: Counter() for number in range(len(partners))}
        self._days: Counter[tuple[int, dt.date]] = Counter()
        self._keys: dict[int, uuid.UUID] = {}  # of the loans
        self._transaction: uuid.UUID | None = None
        self._carried = 0
        self._waiting: dict[Table, list[Row]] = {}
        self._make_tables()

    def _make_tables(self) -> None:
        chain_id, executor = self.wallet.chain_id, self.addresses["executor"]
        token = self.addresses["collateralToken"]
        done = {"state": OperationState.CONFIRMED, "acknowledged": True, "chain_id": chain_id, "executor": executor}
        self._loans = Table(PartnerLoan)
        self._operations = Table(Operation, calls=[], effect=[], outcome_logs=[], **done)
        self._queued = Table(Operation, calls=[], effect=[], kind="borrow", chain_id=chain_id, executor=executor)
        self._transactions = Table(
            ChainTransaction,
            wallet=self.wallet,
            executor=executor,
            state=TransactionState.CONFIRMED,
            gas_limit=5_000_000,
        )
        self._repayments = Table(Repayment, status=RepaymentStatus.SETTLED)
        self._transfers = Table(FundingTransfer, recipient=executor)
        self._events = Table(ChainEvent, applied=True)
        self._positions = Table(SolvencyPosition, collateral_token=token, token_type="RWA")  # noqa: S106 - a kind of collateral
        self._credits = Table(OaidCredit)
        self._usages = Table(PartnerDailyUsage)

    def write(self) -> None:
        """Everything but the partners' sums and the wallet's counter, in the order of time."""
        for move in self.history.moves:
            self._write(move)
        for (partner, day), borrowed in self._days.items():
            row = self._usages.row(id=self._key(), partner_id=self.partners[partner].pk, day=day, borrowed=borrowed)
            self._put(self._usages, row)
        for table in self._waiting:
            self._flush(table)

    def _write(self, move: Move) -> None:
        position, loan, payment = move.position, move.loan, move.payment
        if move.kind == "OPENED":
            self._write_position(position)
        elif move.kind == "LIQUIDATED":
            self._write_liquidation(position)
        elif loan is not None and move.kind == "ACCEPTED":
            self._write_loan(loan, position)
        elif loan is not None and payment is not None:
            self._write_payment(payment, loan, position)

    def finish(self) -> None:
        """The partners' running sums, and the wallet's nonce."""
        for number, sums in self._sums.items():
            Partner.objects.filter(pk=self.partners[number].pk).update(**sums)
        PlatformWallet.objects.filter(pk=self.wallet.pk).update(next_nonce=self.nonces)

    # --- A position ---------------------------------------------------------------------------------------

    def _write_position(self, position: Position) -> None:
        user = user_of(position.number)
        value = 0 if position.is_liquidated else OAID_LIMIT * 10 // 7
        self._put(
            self._positions,
            self._positions.row(
                id=self._key(),
                position_id=position.number,
                oaid_token_id=position.number,
                user_wallet=user,
                collateral_amount=0 if position.is_liquidated else 10**18,
                collateral_value_usd=OAID_LIMIT * 10 // 7,
                usdc_borrowed=position.debt,
                active=not position.is_liquidated,
                total_partner_debt=position.debt,
                synced_block=position.last.block,
                pool_principal=position.debt,
                pool_since=position.last.moment,
                loans_principal=position.debt,
                ledger_order=_order(position.last) if any(loan.place for loan in position.loans) else 0,
                health_factor=value * 10_000 // position.debt if position.debt else None,
                liquidated_at=_time(position.last) if position.is_liquidated else None,
            ),
        )
        waiting = sum(loan.principal for loan in position.loans if loan.status == "PENDING")
        settled = max((loan.place.block for loan in position.loans if loan.place), default=0)
        self._put(
            self._credits,
            self._credits.row(
                id=self._key(), oaid_token_id=position.number, reserved=waiting, version=1, settled_block=settled
            ),
        )
        self._event(
            position.opened, 0, "SolvencyVault.PositionOpened", position, uid="", user=user, **_opening(position)
        )

    def _write_liquidation(self, position: Position) -> None:
        shares = [(loan, paid) for loan in position.loans for paid in loan.payments if paid.source == "LIQUIDATION"]
        total = sum(paid.amount for _, paid in shares)
        amounts = {"debtPaid": str(total), "collateralAmount": str(10**18)}
        self._movement(position.last, position, 0, "PositionLiquidated", **amounts)
        for loan, paid in shares:
            self._write_payment(paid, loan, position)

    def _write_loan(self, loan: Loan, position: Position) -> None:
        """The loan as the year leaves it, with its operation and the draw's events."""
        pk, internal_id, operation = self._key(), self._key(), self._key()
        self._keys[loan.number] = pk
        user = user_of(position.number)
        partner = self.partners[loan.partner]
        key = f"borrow:{internal_id}"
        uid = uid_of(key)
        created = dt.datetime.fromtimestamp(loan.created, dt.UTC)
        tx_hash, last = self._operate(operation, key, uid, "borrow", loan.place, created), loan.place
        if loan.place:
            self.balance += loan.fee
            event = {"borrower": self.addresses["executor"], "amount": str(loan.principal)}
            self._movement(loan.place, position, loan.debt_after, "USDCBorrowed", uid=uid, tx_hash=tx_hash, **event)
        if loan.payments:
            last = loan.payments[-1].place
        is_closed = loan.status in ("REPAID", "LIQUIDATED")
        self._put(
            self._loans,
            self._loans.row(
                id=pk,
                internal_loan_id=internal_id,
                partner_id=partner.pk,
                partner_loan_id=f"seed-{loan.number}",
                partner_name=partner.partner_name,
                user_wallet=user,
                oaid_token_id=position.number,
                solvency_position_id=position.number,
                principal_amount=loan.principal,
                outstanding_principal=loan.outstanding,
                bearing_principal=loan.outstanding if loan.place else 0,
                interest_since=last.moment if last else 0,
                draw_order=_order(loan.place) if loan.place else 0,
                written_off_principal=loan.written_off,
                total_repaid=loan.repaid,
                platform_fee_charged=loan.fee,
                platform_fee_paid=loan.place is not None,
                net_amount=loan.principal - loan.fee,
                remaining_credit=OAID_LIMIT,
                settlement_address=partner.settlement_address,
                status=loan.status,
                failure_reason="the simulation said no" if loan.status == "FAILED" else "",
                borrow_operation_id=operation,
                borrow_tx_hash=tx_hash if loan.place else "",
                repay_tx_hash=tx_hash if is_closed else "",
                daily_usage_day=created.date(),
                borrowed_at=_time(loan.place) if loan.place else None,
                defaulted_at=_time(last) if loan.status == "DEFAULTED" and last else None,
                last_repayment_at=_time(last) if loan.payments and last else None,
                created_at=created,
                updated_at=_time(last) if last else created,
            ),
        )
        self._add_up(loan, created.date())

    def _write_payment(self, payment: Payment, loan: Loan, position: Position) -> None:
        pk, settled = self._key(), _time(payment.place)
        operation = transfer = None
        tx_hash = self._hash()
        partner = self.partners[loan.partner]
        if payment.source in ("TRANSFER", "PULLED"):
            operation, key = self._key(), f"repay:{pk}"
            tx_hash = self._operate(operation, key, uid_of(key), "repay", payment.place, settled)
            paid = {"payer": self.addresses["executor"], "amount": str(payment.amount)}
            self._movement(
                payment.place, position, payment.debt_after, "LoanRepaid", uid=uid_of(key), tx_hash=tx_hash, **paid
            )
        elif payment.source == "USER":
            paid = {"payer": user_of(position.number), "amount": str(payment.amount)}
            self._movement(payment.place, position, payment.debt_after, "LoanRepaid", tx_hash=tx_hash, **paid)
        if payment.source == "TRANSFER":
            transfer = self._transfer(payment, partner.settlement_address, number=loan.number)
        self._put(
            self._repayments,
            self._repayments.row(
                id=pk,
                loan_id=self._keys[loan.number],
                partner_id=partner.pk,
                amount=payment.amount,
                principal_paid=payment.amount,
                repaid_by=REPAID_BY[payment.source],
                funding=FUNDING[payment.source],
                funding_transfer_id=transfer,
                operation_id=operation,
                closes_loan=loan.outstanding == 0,
                chain_order=_order(payment.place),
                tx_hash=tx_hash,
                created_at=settled,
                settled_at=settled,
            ),
        )

    def _transfer(self, payment: Payment, sender: str, *, number: int) -> uuid.UUID:
        """The USDC that a partner sent for it; every tenth sent more than was needed."""
        pk, tx_hash = self._key(), self._hash()
        value = payment.amount + (number % 10 == 0) * 5_000_000
        self.balance += value - payment.amount
        place = Place(payment.place.block - 1, payment.place.log + 100_000, payment.place.moment - 2)
        self._put(
            self._transfers,
            self._transfers.row(
                id=pk,
                tx_hash=tx_hash,
                sender=sender,
                value=value,
                used=payment.amount,
                block_number=place.block,
                block_hash=block_hash(place.block),
                created_at=_time(place),
            ),
        )
        args = {"from": sender, "to": self.addresses["executor"], "value": str(value)}
        self._event(place, 0, "MockUSDC.Transfer", None, tx_hash=tx_hash, **args)
        return pk

    # --- Operations and events --------------------------------------------------------------------------------

    def _operate(self, pk: uuid.UUID, key: str, uid: str, kind: str, place: Place | None, created: dt.datetime) -> str:
        """The operation's row, in a transaction where it was executed; answers the transaction's hash."""
        if place is None:
            self._put(self._queued, self._queued.row(id=pk, key=key, uid=uid, created_at=created, updated_at=created))
            return ""
        if self._carried % OPERATIONS_PER_TRANSACTION == 0:
            self._transaction = self._new_transaction(place)
        self._carried += 1
        tx_hash = self._hash()
        self._put(
            self._operations,
            self._operations.row(
                id=pk,
                key=key,
                uid=uid,
                kind=kind,
                transaction_id=self._transaction,
                tx_hash=tx_hash,
                block_number=place.block,
                block_hash=block_hash(place.block),
                block_time=_time(place),
                created_at=created,
                updated_at=created,
            ),
        )
        return tx_hash

    def _new_transaction(self, place: Place) -> uuid.UUID:
        pk = self._key()
        self._put(
            self._transactions,
            self._transactions.row(
                id=pk,
                nonce=self.nonces,
                mined_hash=self._hash(),
                block_number=place.block,
                block_hash=block_hash(place.block),
                gas_used=2_500_000,
                created_at=_time(place),
                updated_at=_time(place),
            ),
        )
        self.nonces += 1
        return pk

    def _movement(
        self, place: Place, position: Position, debt: int, kind: str, *, uid: str = "", tx_hash: str = "", **args: str
    ) -> None:
        """The pool's event, the OAID's, and the vault's that names it."""
        same = {"uid": uid, "tx_hash": tx_hash or self._hash()}
        self._event(place, 0, "SeniorPool.DebtUpdated", position, **same, principal=str(debt), accrued="0", rateBps="0")
        line: dict[str, Any] = {"tokenId": str(position.number), "limit": str(OAID_LIMIT), "used": str(debt)}
        self._event(place, 1, "OAID.CreditLineUpdated", None, **same, **line, active=True)
        self._event(place, 2, f"SolvencyVault.{kind}", position, **same, **args)

    def _event(
        self,
        place: Place,
        offset: int,
        name: str,
        position: Position | None,
        *,
        uid: str = "",
        tx_hash: str = "",
        **args: Any,
    ) -> None:
        number = {} if position is None else {"positionId": str(position.number)}
        self._put(
            self._events,
            self._events.row(
                id=self._key(),
                block_number=place.block,
                log_index=place.log + offset,
                block_hash=block_hash(place.block),
                block_time=place.moment,
                tx_hash=tx_hash or self._hash(),
                name=name,
                position_id=None if position is None else position.number,
                operation_uid=uid,
                args={**number, **args},
            ),
        )

    # --- Sums ---------------------------------------------------------------------------------------------

    def _add_up(self, loan: Loan, day: dt.date) -> None:
        sums, is_drawn = self._sums[loan.partner], loan.place is not None
        sums["current_outstanding"] += loan.outstanding
        sums["total_borrowed"] += loan.principal * is_drawn
        sums["total_repaid"] += loan.repaid
        sums["active_loans"] += loan.status in ("ACTIVE", "DEFAULTED")
        sums["repaid_loans"] += loan.status == "REPAID"
        if loan.status != "FAILED":
            self._days[loan.partner, day] += loan.principal

    def _put(self, table: Table, row: Row) -> None:
        waiting = self._waiting.setdefault(table, [])
        waiting.append(row)
        if len(waiting) == BATCH:
            self._flush(table)

    def _flush(self, table: Table) -> None:
        rows = self._waiting[table]
        self.count[table.model.__name__] += table.insert(rows)
        rows.clear()

    def _key(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128))

    def _hash(self) -> str:
        return f"0x{self._random.getrandbits(256):064x}"


def _opening(position: Position) -> dict[str, str]:
    return {
        "oaidTokenId": str(position.number),
        "collateralAmount": str(10**18),
        "collateralValueUSD": str(OAID_LIMIT * 10 // 7),
        "tokenType": "0",
    }


@cache
def user_of(position: int) -> str:
    """The wallet of a seeded position's user."""
    return str(to_checksum_address(keccak(text=f"seeded user {position}")[-20:]))


def block_hash(number: int) -> str:
    """Of a block of the seeded past, which no chain has."""
    return f"0x5eed{number:060x}"


def _order(place: Place) -> int:
    return order_of(place.block, place.log)


def _time(place: Place) -> dt.datetime:
    return dt.datetime.fromtimestamp(place.moment, dt.UTC)


def api_logs(count: int, partners: list[Partner], end: int, loans: int) -> Iterator[dict[str, Any]]:
    """Calls of the year, the newest last, as attributes of `ApiLog`: mostly reads, one in fifty refused."""
    some = random.Random(13)  # noqa: S311
    span = 365 * 86_400
    for number in range(count):
        partner = partners[some.randrange(len(partners))]
        loan = f"seed-{some.randrange(max(loans, 1))}"
        is_borrow, refused = number % 10 == 0, number % 50 == 7
        moment = dt.datetime.fromtimestamp(end - span + span * number // count, dt.UTC)
        yield {
            "id": uuid.UUID(int=some.getrandbits(128)),
            "partner_id": partner.partner_id,
            "partner_name": partner.partner_name,
            "endpoint": "/partners/borrow" if is_borrow else f"/partners/loan/{loan}",
            "method": "POST" if is_borrow else "GET",
            "ip_address": f"10.0.{number % 200}.{number % 250}",
            "request_payload": {"partnerLoanId": loan, "borrowAmount": "100000000"} if is_borrow else None,
            "status_code": (403 if is_borrow else 404) if refused else 202 if is_borrow else 200,
            "response_time": 5 + number % 90,
            "success": not refused,
            "error_code": ("daily_limit_exceeded" if is_borrow else "loan_not_found") if refused else "",
            "loan_id": loan,
            "request_id": f"{some.getrandbits(128):032x}",
            "timestamp": moment,
        }
