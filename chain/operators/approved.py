"""How a wallet is unfrozen once that is approved."""

from authority.acting import Staff
from authority.approvals.kinds import ApprovalKind, Arguments, Secrets, register_kind
from authority.approvals.outdated import ApprovalOutdated
from chain.models import PlatformWallet
from chain.operators.inspection import WalletReport, inspect_wallet
from chain.operators.operating import unfreeze_by_operator
from chain.operators.review import DecisionRefused
from chain.operators.unfreezing import UNFREEZING
from chain.rpc.clients import get_client
from partner_platform.core.errors import ErrorCode, Unavailable


def register_unfreezing() -> None:
    """Register the kind; called when Django starts."""
    register_kind(ApprovalKind(UNFREEZING, "Unfreeze a wallet", _unfreeze, prepare=_look))


def _look(arguments: Arguments) -> object:
    """What the chain and the database show of the wallet now."""
    address, chain_id = str(arguments["address"]), str(arguments["chainId"])
    wallet = PlatformWallet.objects.get(address=address, chain_id=chain_id)
    report = inspect_wallet(get_client(), wallet)
    if report.chain is None:
        raise Unavailable(ErrorCode.CHAIN_UNAVAILABLE, "No node answers: nothing is known about what froze the wallet")
    return report


def _unfreeze(arguments: Arguments, actor: Staff, prepared: object) -> Secrets:
    if not isinstance(prepared, WalletReport) or actor.ticket is None:
        raise TypeError(f"{prepared!r} is no report of a wallet, or {actor} has no approval")
    try:
        unfreeze_by_operator(prepared, actor=actor)
    except DecisionRefused as error:
        ticket = actor.ticket
        raise ApprovalOutdated(str(error), approval_id=ticket.approval_id, checker=ticket.checker) from error
    return {}
