"""Contracts of the platform, put on the chain by a member of staff; each leaves an audit entry with its address."""

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from chain.lending import deployment
from chain.lending.deployment import RpcClient
from partner_platform.core.database.transactions import run_in_transaction


@needs(Right.ROTATE_PLATFORM_KEYS)
def deploy_executor_by_staff(
    *,
    actor: str,
    client: RpcClient,
    owner_key: str,
    operator_address: str,
    treasury: str,
    usdc: str,
    operation_gas_floor: int,
) -> str:
    """A `PlatformExecutor` of this owner; returns its address. Raises `DeploymentFailed`, `ChainUnavailable`."""
    executor = deployment.deploy_executor(
        client=client,
        owner_key=owner_key,
        operator_address=operator_address,
        treasury=treasury,
        usdc=usdc,
        operation_gas_floor=operation_gas_floor,
    )
    _record("settlement.executor_deployed", f"executor:{executor}", actor, operator=operator_address, treasury=treasury)
    return executor


@needs(Right.ROTATE_PLATFORM_KEYS)
def deploy_anchor_by_staff(*, actor: str, client: RpcClient, key: str) -> str:
    """An `AuditAnchor`; returns its address. Raises `DeploymentFailed`, `ChainUnavailable`."""
    anchor = deployment.deploy_audit_anchor(client=client, key=key)
    _record("audit.anchor_deployed", f"anchor:{anchor}", actor)
    return anchor


def _record(action: str, target: str, actor: str, **after: object) -> None:
    run_in_transaction(lambda: record_change(actor=actor, action=action, target=target, after=dict(after) or None))
