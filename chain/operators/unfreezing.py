"""Unfreezing a wallet needs a second person: what is asked for (docs/approvals.md)."""

from authority.approvals.changes import SensitiveChange
from authority.approvals.requiring import require_approval
from authority.rights import Right
from chain.models import OperationState, WalletStatus
from chain.operators.inspection import WalletReport

UNFREEZING = "wallet.unfreeze"


def require_for_unfreezing(report: WalletReport, *, actor: str) -> None:
    """Ask for it, in the transaction of the change."""
    wallet = report.wallet
    queued = report.states.get(str(OperationState.QUEUED), 0)
    change = SensitiveChange(
        kind=UNFREEZING,
        target=f"wallet:{wallet.address}",
        rights=(Right.UNFREEZE,),
        before={"status": str(wallet.status), "reason": wallet.status_reason, "incident": wallet.incident},
        after={"status": str(WalletStatus.ACTIVE), "reason": ""},
        arguments={"address": wallet.address, "chainId": wallet.chain_id},
        basis={"statusChanges": wallet.status_changes},
        impact="it sends nothing new" if report.is_retired else f"{queued} queued operations go out at once",
    )
    require_approval(change, actor=actor)
