"""The rows of a history: loans with their repayments, positions, and the sums of partners, days and OAIDs.

Each sum (a partner's, a day's, an OAID's, a position's, a transfer's use) is added up here from the history, not by
what the reconciliation would say: the reconciliation that looks at it afterwards is to find it so by itself.
"""

import datetime as dt
import uuid
from collections import Counter

from benchmarks.seeding.bulk import Table
from benchmarks.seeding.chain_rows import ChainRows
from benchmarks.seeding.facts import OAID_LIMIT, order_at, time_at, user_of
from benchmarks.seeding.history import History, Move, SeededLoan, SeededPayment, SeededPosition
from chain.lending.encoding import uid_of
from chain.models import PlatformWallet
from loans.models import OaidCredit, PartnerLoan, Repayment, RepaymentStatus, SolvencyPosition
from partners.models import Partner, PartnerDailyUsage

FUNDING = {"TRANSFER": "TRANSFER", "PULLED": "PULLED", "USER": "ONCHAIN", "LIQUIDATION": "ONCHAIN"}
REPAID_BY = {"TRANSFER": "PARTNER", "PULLED": "PARTNER", "USER": "USER", "LIQUIDATION": "LIQUIDATION"}


class Books(ChainRows):
    """Writes a history's rows; what it added up on the way is written by `finish`."""

    def __init__(self, history: History, partners: list[Partner], wallet: PlatformWallet, addresses: dict[str, str]):
        super().__init__(wallet, addresses)
        self.history, self.partners = history, partners
        self._sums: dict[int, Counter[str]] = {number: Counter() for number in range(len(partners))}
        self._days: dict[tuple[int, dt.date], Counter[str]] = {}
        self._keys: dict[int, uuid.UUID] = {}  # of the loans
        token = addresses["collateralToken"]
        self._loans = Table(PartnerLoan)
        self._repayments = Table(Repayment, status=RepaymentStatus.SETTLED)
        self._positions = Table(SolvencyPosition, collateral_token=token, token_type="RWA")  # noqa: S106 - a kind of collateral
        self._credits = Table(OaidCredit)
        self._usages = Table(PartnerDailyUsage)

    def write(self) -> None:
        """Everything but the partners' sums and the wallet's counter, in the order of time."""
        for move in self.history.moves:
            self._write(move)
        for (partner, day), figures in self._days.items():
            row = self._usages.row(id=self._key(), partner_id=self.partners[partner].pk, day=day, **figures)
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

    def _write_position(self, position: SeededPosition) -> None:
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
                ledger_order=order_at(position.last) if any(loan.place for loan in position.loans) else 0,
                health_factor_bps=value * 10_000 // position.debt if position.debt else None,
                liquidated_at=time_at(position.last) if position.is_liquidated else None,
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

    def _write_liquidation(self, position: SeededPosition) -> None:
        shares = [(loan, paid) for loan in position.loans for paid in loan.payments if paid.source == "LIQUIDATION"]
        total = sum(paid.amount for _, paid in shares)
        amounts = {"debtPaid": str(total), "collateralAmount": str(10**18)}
        self._movement(position.last, position, 0, "PositionLiquidated", **amounts)
        for loan, paid in shares:
            self._write_payment(paid, loan, position)

    def _write_loan(self, loan: SeededLoan, position: SeededPosition) -> None:
        """The loan as the year leaves it, with its operation and the draw's events."""
        pk, internal_id, operation = self._key(), self._key(), self._key()
        self._keys[loan.number] = pk
        key = f"borrow:{internal_id}"
        uid = uid_of(key)
        created = dt.datetime.fromtimestamp(loan.created, dt.UTC)
        tx_hash = self._operate(operation, key, uid, "borrow", loan.place, created)
        if loan.place:
            self.balance += loan.fee
            event = {"borrower": self.addresses["executor"], "amount": str(loan.principal)}
            self._movement(loan.place, position, loan.debt_after, "USDCBorrowed", uid=uid, tx_hash=tx_hash, **event)
        self._put(
            self._loans,
            self._loans.row(
                id=pk,
                internal_loan_id=internal_id,
                borrow_operation_id=operation,
                borrow_tx_hash=tx_hash if loan.place else "",
                repay_tx_hash=tx_hash if loan.status in ("REPAID", "LIQUIDATED") else "",
                daily_usage_day=created.date(),
                created_at=created,
                **self._parties_of(loan, position),
                **_state_of(loan, created),
            ),
        )
        self._add_up(loan, created.date())

    def _parties_of(self, loan: SeededLoan, position: SeededPosition) -> dict[str, object]:
        partner = self.partners[loan.partner]
        return {
            "partner_id": partner.pk,
            "partner_loan_id": f"seed-{loan.number}",
            "partner_name": partner.partner_name,
            "settlement_address": partner.settlement_address,
            "user_wallet": user_of(position.number),
            "oaid_token_id": position.number,
            "solvency_position_id": position.number,
        }

    def _write_payment(self, payment: SeededPayment, loan: SeededLoan, position: SeededPosition) -> None:
        pk, settled = self._key(), time_at(payment.place)
        operation = transfer = None
        self._count(loan, settled.date(), repaid=payment.amount)
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
                chain_order=order_at(payment.place),
                tx_hash=tx_hash,
                created_at=settled,
                settled_at=settled,
            ),
        )

    # --- Sums ---------------------------------------------------------------------------------------------

    def _add_up(self, loan: SeededLoan, day: dt.date) -> None:
        sums, is_drawn = self._sums[loan.partner], loan.place is not None
        sums["current_outstanding"] += loan.outstanding
        sums["total_borrowed"] += loan.principal * is_drawn
        sums["total_repaid"] += loan.repaid
        sums["active_loans"] += loan.status in ("ACTIVE", "DEFAULTED")
        sums["repaid_loans"] += loan.status == "REPAID"
        if loan.status != "FAILED":
            self._count(loan, day, borrowed=loan.principal)
        if loan.place:
            self._count(loan, day, drawn=loan.principal, drawn_loans=1, fees=loan.fee)
            self._count(loan, _last_time(loan).date(), repaid_loans=int(loan.status == "REPAID"))
        if (defaulted := _default_day(loan)) is not None:
            self._count(loan, defaulted, defaulted_loans=1)

    def _count(self, loan: SeededLoan, day: dt.date, **figures: int) -> None:
        self._days.setdefault((loan.partner, day), Counter()).update(figures)


def _last_time(loan: SeededLoan) -> dt.datetime:
    """Of its last payment, or of its draw."""
    last = loan.payments[-1].place if loan.payments else loan.place
    assert last is not None
    return time_at(last)


def _default_day(loan: SeededLoan) -> dt.date | None:
    return _last_time(loan).date() if loan.status in ("DEFAULTED", "LIQUIDATED") and loan.place else None


def _state_of(loan: SeededLoan, created: dt.datetime) -> dict[str, object]:
    """The loan's amounts, status and times, after its last payment."""
    last = loan.payments[-1].place if loan.payments else loan.place
    return {
        "principal_amount": loan.principal,
        "outstanding_principal": loan.outstanding,
        "bearing_principal": loan.outstanding if loan.place else 0,
        "interest_since": last.moment if last else 0,
        "draw_order": order_at(loan.place) if loan.place else 0,
        "written_off_principal": loan.written_off,
        "total_repaid": loan.repaid,
        "platform_fee_charged": loan.fee,
        "platform_fee_paid": loan.place is not None,
        "net_amount": loan.principal - loan.fee,
        "remaining_credit": OAID_LIMIT,
        "status": loan.status,
        "failure_reason": "the simulation said no" if loan.status == "FAILED" else "",
        "borrowed_at": time_at(loan.place) if loan.place else None,
        "defaulted_at": time_at(last) if loan.status == "DEFAULTED" and last else None,
        "default_day": _default_day(loan),
        "last_repayment_at": time_at(last) if loan.payments and last else None,
        "updated_at": time_at(last) if last else created,
    }


def _opening(position: SeededPosition) -> dict[str, str]:
    return {
        "oaidTokenId": str(position.number),
        "collateralAmount": str(10**18),
        "collateralValueUSD": str(OAID_LIMIT * 10 // 7),
        "tokenType": "0",
    }
