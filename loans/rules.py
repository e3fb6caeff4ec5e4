"""What makes a borrow or a repayment acceptable: pure checks with the plan's own sentences, in its order."""

from chain.lending.dialects import dialect
from chain.lending.readings import Backing, OaidReading, PositionReading
from loans.debt import payoffs
from loans.debt.payoffs import Quote
from loans.models import LoanStatus, PartnerLoan
from loans.states import REPAYABLE
from partner_platform.core.errors import BadRequest, Conflict, ErrorCode, Forbidden, NotFound
from partner_platform.core.money import format_dollars

PENDING_RETRY_SECONDS = 2


def check_minimum(amount: int, minimum: int) -> None:
    """A loan is at least the platform's smallest, both in base units."""
    if amount < minimum:
        raise BadRequest(
            ErrorCode.LOAN_BELOW_MINIMUM,
            f"The smallest loan is {format_dollars(minimum)}",
            details={"minimum": str(minimum)},
        )


def oaid_not_found(token_id: int) -> NotFound:
    """404: the token was never minted."""
    return NotFound(ErrorCode.OAID_NOT_FOUND, f"OAID {token_id} does not exist")


def require_credit_line(backing: Backing | None, token_id: int, user_wallet: str) -> Backing:
    """Checks 1a and 1b: the OAID exists (404), the user owns it (403), and its credit line is active (400)."""
    if backing is None:
        raise oaid_not_found(token_id)
    if backing.oaid.owner.lower() != user_wallet.lower():
        raise Forbidden(ErrorCode.NOT_OAID_OWNER, "User does not own this OAID")
    if not backing.oaid.active:
        raise BadRequest(ErrorCode.CREDIT_LINE_INACTIVE, "OAID credit line is not active")
    return backing


def duplicate_loan_id() -> Conflict:
    """The refusal of check 1f."""
    return Conflict(ErrorCode.DUPLICATE_LOAN_ID, "Partner loan ID already exists")


def require_position(position: PositionReading | None, reading: OaidReading) -> PositionReading:
    """The plan's step 2: an active collateral position of this owner backs the OAID."""
    if position is None or not position.active or position.user.lower() != reading.owner.lower():
        raise BadRequest(ErrorCode.NO_ACTIVE_POSITION, "No active collateral position found for this OAID")
    if position.usdc_borrowed and dialect().one_loan_per_position:
        raise BadRequest(
            ErrorCode.POSITION_HAS_LOAN,
            "The position has a loan that is not repaid, and takes one at a time",
            details={"positionId": str(position.position_id), "debt": str(position.usdc_borrowed)},
        )
    return position


def check_repayable(loan: PartnerLoan) -> None:
    """A loan that is drawn and not yet closed can be repaid; the others say why not."""
    if loan.status == LoanStatus.REPAID:
        raise BadRequest(ErrorCode.LOAN_ALREADY_REPAID, "Loan already fully repaid")
    if loan.status not in REPAYABLE:
        # A pending one will be drawn, or fail, by itself.
        raise BadRequest(
            ErrorCode.LOAN_NOT_REPAYABLE,
            f"Loan is {loan.status.lower()} and cannot be repaid",
            details={"status": loan.status},
            retry_after=PENDING_RETRY_SECONDS if loan.status == LoanStatus.PENDING else None,
        )


def check_repayment(loan: PartnerLoan, amount: int, moment: int) -> Quote:
    """Check that the loan can take a repayment of `amount` base units; returns what closes it.

    `moment` is what interest is counted to, in seconds since the epoch. Refused in this order: a loan that cannot be
    repaid, one with a repayment in flight, an amount above what closes it.
    """
    check_repayable(loan)
    if loan.repayment_in_flight:
        raise repayment_in_progress()
    quote = payoffs.payoff_quote(loan, moment)
    if amount > quote.amount:
        raise BadRequest(
            ErrorCode.REPAYMENT_EXCEEDS_DEBT,
            f"Repayment exceeds remaining debt of {format_dollars(quote.debt)}",
            details={"remainingDebt": str(quote.debt)},
        )
    return quote


def repayment_in_progress() -> Conflict:
    """One repayment of a loan is in flight at a time."""
    return Conflict(ErrorCode.REPAYMENT_IN_PROGRESS, "Another repayment of this loan is being settled", retry_after=1)
