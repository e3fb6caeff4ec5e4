"""The books against the chain, at one block: positions, wallets, the platform account, transfers (M2, M3, M5).

What is in motion (landed and not settled yet, or in flight) is no finding: it is left out and counted as such.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chain import reconciling
from chain.models import ChainEvent, FundingTransfer, Operation, OperationState, PlatformWallet
from chain.reconciling import ChainPosition, Snapshot
from loans.findings import Finding, differs
from loans.models import FundingSource, LoanStatus, PartnerLoan, Repayment, RepaymentStatus, SolvencyPosition
from loans.services import ledger

UNDRAWN = (LoanStatus.PENDING, LoanStatus.FAILED)


@dataclass
class Comparison:
    """What a comparison found, and how much of each kind it compared or had to leave out."""

    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    in_motion: list[str] = field(default_factory=list)


def compare(snapshot: Snapshot) -> Comparison:
    """Everything the chain can say about the books, as of the snapshot's block."""
    result = Comparison()
    moving = {
        loan.solvency_position_id for loan in PartnerLoan.objects.filter(borrow_operation__in=_unsettled_operations())
    } | {
        repayment.loan.solvency_position_id
        for repayment in Repayment.objects.filter(operation__in=_unsettled_operations()).select_related("loan")
    }
    _positions(snapshot, moving, result)
    _wallets(snapshot, result)
    _account(snapshot, bool(moving), result)
    _transfers(result)
    _operations(result)
    return result


def _unsettled_operations() -> list[Any]:
    """Operations that may stand on the chain and not in the books."""
    states = (OperationState.BUNDLED, OperationState.EXECUTED)
    open_ones = list(Operation.objects.filter(state__in=states).values_list("pk", flat=True))
    told = Operation.objects.filter(acknowledged__in=[False], state=OperationState.CONFIRMED)
    return open_ones + list(told.values_list("pk", flat=True))


def _positions(snapshot: Snapshot, moving: set[int], result: Comparison) -> None:
    rows = list(SolvencyPosition.objects.all())
    found = reconciling.read_positions([row.position_id for row in rows], snapshot)
    result.checked["position"] = len(rows)
    for row in rows:
        if row.position_id in moving or row.ledger_order >= ledger.order_of(snapshot.block_number + 1, 0):
            result.in_motion.append(f"position:{row.position_id}")
        else:
            result.findings += _position(row, found.get(row.position_id), snapshot.timestamp)


def _position(row: SolvencyPosition, actual: ChainPosition | None, moment: int) -> list[Finding]:
    subject = f"position:{row.position_id}"
    if actual is None:
        return differs(subject, "existence", "mirrored", "not on the chain")
    debt = ledger.pool_debt_at(row, moment)
    found = differs(subject, "debt", debt, actual.debt)
    loans = ledger.live_loans(row.position_id)
    parts = [ledger.part_of(loan, max(moment, row.pool_since)) for loan in loans]
    growth = row.pool_rate * max(moment - row.pool_since, 0)
    found += differs(subject, "loans_principal", row.loans_principal, sum(part.principal for part in parts))
    accrued = row.loans_accrued + row.loans_principal * growth
    if row.ledger_order and not found:
        found += differs(subject, "loans_accrued", accrued, sum(part.accrued for part in parts))
    for name, value in (
        ("collateral_value_usd", actual.collateral_value_usd),
        ("collateral_amount", actual.collateral_amount),
        ("active", actual.active),
        ("user_wallet", actual.user),
    ):
        found += differs(subject, name, getattr(row, name), value)
    return found


def _wallets(snapshot: Snapshot, result: Comparison) -> None:
    wallets = list(PlatformWallet.objects.all())
    result.checked["wallet"] = len(wallets)
    for wallet in wallets:
        mined = reconciling.read_nonce(wallet.address, snapshot)
        live = reconciling.has_live_transactions(wallet)
        if wallet.next_nonce < mined or (wallet.next_nonce > mined and not live):
            result.findings += differs(f"wallet:{wallet.address}", "next_nonce", wallet.next_nonce, mined)


def _account(snapshot: Snapshot, is_moving: bool, result: Comparison) -> None:
    """USDC of the platform account: what others sent, less what was withdrawn, and what our operations left there."""
    result.checked["account"] = 1
    subject = f"account:{snapshot.account}"
    if is_moving:
        result.in_motion.append(subject)
        return
    drawn = PartnerLoan.objects.exclude(status__in=UNDRAWN).values_list("platform_fee_charged", flat=True)
    paid = Repayment.objects.filter(
        status=RepaymentStatus.SETTLED, funding__in=[FundingSource.TRANSFER, FundingSource.TRUSTED]
    ).values_list("amount", flat=True)
    booked = reconciling.foreign_flow(snapshot.account) + sum(drawn) - sum(paid)
    result.findings += differs(subject, "usdc", booked, snapshot.usdc_balance)


def _transfers(result: Comparison) -> None:
    """Every transfer that funds repayments is on the chain, with its value."""
    transfers = list(FundingTransfer.objects.all())
    result.checked["transfer"] = len(transfers)
    for transfer in transfers:
        value = reconciling.transferred(transfer)
        result.findings += differs(f"transfer:{transfer.tx_hash}", "value", transfer.value, value)


def _operations(result: Comparison) -> None:
    """Every loan that was paid out, and every repayment of ours, has its event with its amount."""
    loans = list(PartnerLoan.objects.exclude(status__in=UNDRAWN).select_related("borrow_operation"))
    repayments = list(
        Repayment.objects.filter(status=RepaymentStatus.SETTLED, operation__isnull=False).select_related("operation")
    )
    result.checked |= {"loan": len(loans), "repayment": len(repayments)}
    drawn = _amounts("USDCBorrowed")
    for loan in loans:
        actual = drawn.get(loan.borrow_operation.uid, 0)
        subject = f"loan:{loan.internal_loan_id}"
        result.findings += differs(subject, "principal_amount", loan.principal_amount, actual)
    paid = _amounts("LoanRepaid")
    for repayment in repayments:
        actual = paid.get(repayment.operation.uid if repayment.operation else "", 0)
        # A base unit of rounding may have gone to another loan of the position.
        if not 0 <= actual - repayment.amount <= 1:
            result.findings += differs(f"repayment:{repayment.pk}", "amount", repayment.amount, actual)


def _amounts(event: str) -> dict[str, int]:
    names = [f"{vault}.{event}" for vault in reconciling.VAULTS]
    found: Iterable[ChainEvent] = ChainEvent.objects.filter(name__in=names).exclude(operation_uid="")
    return {row.operation_uid: int(row.args["amount"]) for row in found}
