"""Where on the chain a status can be checked, as the contract shows it (`loans.api.common.ChainEvidence`)."""

from chain.selectors import KnownBlocks
from loans.chain_order import block_and_log
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus


def evidence_of_loan(loan: PartnerLoan, known: KnownBlocks) -> dict[str, object] | None:
    """The newest transaction that changed the loan: its draw, a payment, a liquidation, or the draw that failed.

    None where none did: the loan is PENDING, or was refused before anything was sent.
    """
    has_log = loan.status != LoanStatus.FAILED
    return _evidence(loan.evidence_order, loan.evidence_tx_hash, loan.evidence_block_hash, known, has_log=has_log)


def evidence_of_draw(loan: PartnerLoan, known: KnownBlocks) -> dict[str, object] | None:
    """The transaction that drew the loan; None where it is not drawn."""
    return _evidence(loan.draw_order, loan.borrow_tx_hash, loan.borrow_block_hash, known)


def evidence_of_repayment(repayment: Repayment, known: KnownBlocks) -> dict[str, object] | None:
    """The transaction that paid, or in which the payment failed; None while it is PENDING and where none was sent."""
    has_log = repayment.status == RepaymentStatus.SETTLED
    return _evidence(
        repayment.evidence_order, repayment.evidence_tx_hash, repayment.evidence_block_hash, known, has_log=has_log
    )


def _evidence(
    order: int, tx_hash: str, block_hash: str, known: KnownBlocks, *, has_log: bool = True
) -> dict[str, object] | None:
    """`logIndex` is that of the pool's log; null where an operation failed and left none."""
    if not order or not block_hash:
        return None
    block, log = block_and_log(order)
    return {
        "txHash": tx_hash,
        "blockNumber": block,
        "blockHash": block_hash,
        "logIndex": log if has_log else None,
        "depth": known.depth_of(block),
        "finalized": known.is_final(block),
    }
