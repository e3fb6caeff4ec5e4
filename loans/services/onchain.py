"""What others did to a position on the chain: the user repaid or drew, somebody liquidated. Inside a transaction.

A user's repayment goes to the position's partner loans, oldest first, then to the user's own debt. Loans with a
repayment in flight come last: that repayment would pay too much if the user's had paid the loan before it.
"""

from collections.abc import Mapping

from chain.models import ChainEvent
from loans.debt import interest
from loans.debt.interest import OWN, PositionDebt
from loans.ledger import payments
from loans.ledger.apply import apply_liquidation, apply_payment, apply_user_draw
from loans.ledger.movement import Movement
from loans.ledger.shares import live_loans
from loans.loan_changes import LoanChange, record_loan_changes
from loans.models import RepaymentSource


def user_drew(movement: Movement, event: ChainEvent) -> None:
    """The user borrowed without a partner: the debt is the user's own, no partner loan's."""
    apply_user_draw(movement, int(event.args["amount"]))


def user_repaid(movement: Movement, event: ChainEvent) -> None:
    """Somebody repaid at the vault without the platform: `repaidBy` USER, oldest loan first."""
    amount = int(event.args["amount"])
    loans = live_loans(movement.position_id)
    free = [str(loan.pk) for loan in loans if not loan.repayment_in_flight]
    busy = [str(loan.pk) for loan in loans if loan.repayment_in_flight]

    def allocate(debt: PositionDebt) -> tuple[PositionDebt, Mapping[str, int]]:
        shares = interest.allocate(debt.owed(), [*free, OWN, *busy], amount)
        return interest.after_payment(debt, shares), shares

    changes: list[LoanChange] = []
    for item in sorted(apply_payment(movement, allocate, amount=amount), key=lambda item: item.loan.pk):
        if item.paid:
            changes.append(payments.book_onchain_payment(item, movement, source=RepaymentSource.USER))
        else:
            payments.book_shifted_share(item)
    record_loan_changes(changes)


def liquidated(movement: Movement, event: ChainEvent) -> None:
    """The position was liquidated: every loan gets its share of what was paid; the rest is written off."""
    shares = sorted(apply_liquidation(movement, int(event.args["debtPaid"])), key=lambda item: item.loan.pk)
    record_loan_changes([payments.book_liquidation(item, movement) for item in shares])
