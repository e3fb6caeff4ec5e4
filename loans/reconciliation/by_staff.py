"""What the beat does by itself, done now by a member of staff: following the chain, and comparing with repairs.

Each leaves an audit entry that names them; what it froze or repaired has entries of its own, by the reconciliation.
"""

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from chain.events.watcher import WatchReport
from loans.reconciliation.run import Report, reconcile
from loans.services.follow import FollowReport, follow_chain
from partner_platform.core.database.transactions import run_in_transaction

TARGET = "platform:books"


@needs(Right.RUN_RECONCILIATION)
def follow_chain_by_staff(*, actor: str) -> tuple[WatchReport, FollowReport]:
    """`follow_chain`. Raises `ChainUnavailable`."""
    watched, applied = follow_chain()
    _record(
        actor,
        "books.chain_followed",
        firstBlock=watched.first_block,
        nextBlock=watched.next_block,
        applied=applied.applied,
    )
    return watched, applied


@needs(Right.RUN_RECONCILIATION)
def reconcile_by_staff(*, actor: str, freeze: bool, repair: bool, quick: bool) -> Report:
    """`reconcile`. Raises `ChainUnavailable`."""
    report = reconcile(freeze=freeze, repair=repair, quick=quick)
    _record(
        actor,
        "books.reconciled",
        freeze=freeze,
        repair=repair,
        blockNumber=report.block_number,
        findings=report.finding_count,
        frozen=report.frozen,
        repaired=report.repaired,
    )
    return report


def _record(actor: str, action: str, **after: object) -> None:
    run_in_transaction(lambda: record_change(actor=actor, action=action, target=TARGET, after=dict(after)))
