"""The rollback of an operation of ours whose outcome was acted on and that a reorg undid.

Its loan or repayment is PENDING again, a failed one too: the transaction that carries it may succeed after all.
"""

from chain import services as chain_services
from chain.models import Operation
from events.kinds import EventType
from loans.funding import trusted
from loans.ledger.movement import NO_EVIDENCE
from loans.loan_changes import record_loan_changes
from loans.models import FundingSource, LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from loans.positions import credit
from loans.rollback.entries import undone_change
from loans.rollback.positions import rollback_ledger
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.invariants import InvariantViolation
from partners import limits


def rollback_operation(operation: Operation) -> None:
    """Undo what was done about the operation's outcome, and whatever its position's ledger has from after it."""
    loan = PartnerLoan.objects.filter(borrow_operation=operation.pk).first()
    repayment = Repayment.objects.filter(operation=operation.pk).select_related("loan").first()
    if loan is not None and loan.draw_order:
        rollback_ledger(loan.solvency_position_id, loan.draw_order)
    elif repayment is not None and repayment.chain_order:
        rollback_ledger(repayment.loan.solvency_position_id, repayment.chain_order)

    def reopen() -> None:
        if not chain_services.acknowledge_reopened(operation_id=operation.pk):
            return  # undone with its ledger entry, or by somebody else
        if loan is not None and loan.status == LoanStatus.FAILED:
            _reopen_failed_loan(loan)
        elif repayment is not None and repayment.status == RepaymentStatus.FAILED:
            _reopen_failed_repayment(repayment)

    run_in_transaction(reopen)


def _reopen_failed_loan(loan: PartnerLoan) -> None:
    failed = PartnerLoan.objects.filter(pk=loan.pk, status=LoanStatus.FAILED)
    if failed.update(
        status=LoanStatus.PENDING,
        failure_reason="",
        failure_code="",
        outstanding_principal=loan.principal_amount,
        **NO_EVIDENCE,
        updated_at=clock.now(),
    ):
        credit.restore_reservation(loan.oaid_token_id, loan.principal_amount)
        limits.reserve_limits_again(partner_id=loan.partner_id, amount=loan.principal_amount, day=loan.daily_usage_day)
        kind, status = EventType.LOAN_FAILED, LoanStatus.PENDING
        record_loan_changes([undone_change(loan, kind, status=status, action="loan.reopened")])


def _reopen_failed_repayment(repayment: Repayment) -> None:
    """Its transaction may succeed after all. Its funds were released: what it then pays the platform account pays."""
    free = PartnerLoan.objects.filter(pk=repayment.loan_id, repayment_in_flight__in=[False])
    if free.update(repayment_in_flight=True) != 1:
        raise InvariantViolation(f"M3: loan {repayment.loan_id} has another repayment under way")
    blank = {"funding_transfer": None} if repayment.funding == FundingSource.TRANSFER else {}
    source = {"funding": FundingSource.TRUSTED} if blank else {}
    if source:
        trusted.note_trusted(repayment.partner_id)
    Repayment.objects.filter(pk=repayment.pk, status=RepaymentStatus.FAILED).update(
        status=RepaymentStatus.PENDING,
        failure_reason="",
        failure_code="",
        settled_at=None,
        **NO_EVIDENCE,
        **blank,
        **source,
    )
    loan = PartnerLoan.objects.get(pk=repayment.loan_id)
    undone = undone_change(
        loan,
        EventType.REPAYMENT_FAILED,
        status=loan.status,
        repayment_id=repayment.pk,
        action="loan.repayment_reopened",
    )
    record_loan_changes([undone])
