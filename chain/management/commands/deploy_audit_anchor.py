"""`manage.py deploy_audit_anchor`: put the contract on the chain that keeps heads of the audit trail."""

from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from chain.lending import deployment
from chain.management.owner import owner_key
from chain.operators.deploying import deploy_anchor_by_staff
from chain.rpc.clients import ChainUnavailable, RpcError, get_client

DEFAULT_KEY_VARIABLE = "DEPLOYER_PRIVATE_KEY"


class Command(StaffCommand):
    """The key pays the gas and has no rights afterwards."""

    help = "Deploy AuditAnchor with the key in an environment variable, and print its address (AUDIT_ANCHOR_ADDRESS)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--key-variable", default=DEFAULT_KEY_VARIABLE, help="environment variable with a key")

    def act(self, *, key_variable: str, **options: object) -> None:
        self.require_right_of(deploy_anchor_by_staff)
        key = owner_key(key_variable)
        try:
            anchor = deploy_anchor_by_staff(actor=self.actor, client=get_client(), key=key)
        except (ChainUnavailable, RpcError, deployment.DeploymentFailed) as error:
            raise CommandError(str(error)) from error
        self.show({"auditAnchor": anchor}, anchor)
