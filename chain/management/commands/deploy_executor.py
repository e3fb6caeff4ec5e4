"""`manage.py deploy_executor`: put the platform's account on the chain."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from chain.lending import deployment
from chain.management.owner import DEFAULT_KEY_VARIABLE, address_of, owner_key
from chain.operators.deploying import deploy_executor_by_staff
from chain.rpc.clients import ChainUnavailable, RpcError, get_client


class Command(StaffCommand):
    """Deploys on the chain of the settings; where the endpoint serves another chain, nothing is signed."""

    help = "Deploy the PlatformExecutor, owned by the key in an environment variable, and print its address."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--operator", required=True, help="address of the key that may send bundles")
        parser.add_argument("--treasury", required=True, help="address to which fees are withdrawn")
        parser.add_argument("--usdc", default=settings.USDC_ADDRESS, help="address of USDC (default: USDC_ADDRESS)")
        parser.add_argument(
            "--key-variable", default=DEFAULT_KEY_VARIABLE, help="environment variable with the owner's key"
        )
        parser.add_argument(
            "--operation-gas", type=int, default=deployment.OPERATION_GAS_FLOOR, help="gas per operation"
        )

    def act(self, **options: Any) -> None:
        self.require_right_of(deploy_executor_by_staff)
        addresses = {name: address_of(f"--{name}", options[name]) for name in ("operator", "treasury", "usdc")}
        try:
            executor = deploy_executor_by_staff(
                actor=self.actor,
                client=get_client(),
                owner_key=owner_key(options["key_variable"]),
                operator_address=addresses["operator"],
                usdc=addresses["usdc"],
                treasury=addresses["treasury"],
                operation_gas_floor=options["operation_gas"],
            )
        except (ChainUnavailable, RpcError, deployment.DeploymentFailed) as error:
            raise CommandError(str(error)) from error
        self.show({"executor": executor}, executor)
