"""Unfreezing a wallet needs a second person: how it is asked for, and how it is made once it is approved."""

from authority.acting import Staff
from authority.approvals.changes import SensitiveChange
from authority.approvals.kinds import ApprovalKind, Arguments, Secrets, register_kind
from authority.approvals.outdated import ApprovalOutdated
from authority.approvals.requiring import require_approval
from authority.rights import Right
from chain.models import OperationState, PlatformWallet, WalletStatus
from chain.operators.inspection import WalletReport
from chain.operators.review import DecisionRefused
from partner_platform.core.errors import ErrorCode, Unavailable

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
        impact="it sends nothing new" if report.is_retired else f"{queued} queued operations go out at once",
    )
    require_approval(change, actor=actor)


def register_unfreezing() -> None:
    """Register the kind; called when Django starts."""
    register_kind(ApprovalKind(UNFREEZING, "Unfreeze a wallet", _unfreeze, prepare=_look))


def _look(arguments: Arguments) -> object:
    """What the chain and the database show of the wallet now."""
    from chain.operators.inspection import inspect_wallet  # only here is the chain read
    from chain.rpc.clients import get_client

    wallet = PlatformWallet.objects.get(address=arguments["address"], chain_id=arguments["chainId"])
    report = inspect_wallet(get_client(), wallet)
    if report.chain is None:
        raise Unavailable(ErrorCode.CHAIN_UNAVAILABLE, "No node answers: nothing is known about what froze the wallet")
    return report


def _unfreeze(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    from chain.operators.operating import unfreeze_by_operator  # which imports this module

    if not isinstance(prepared, WalletReport) or actor.ticket is None:
        raise TypeError(f"{prepared!r} is no report of a wallet, or {actor} has no approval")
    try:
        unfreeze_by_operator(prepared, actor=actor)
    except DecisionRefused as error:
        ticket = actor.ticket
        raise ApprovalOutdated(str(error), approval_id=ticket.approval_id, checker=ticket.checker) from error
    return {}
