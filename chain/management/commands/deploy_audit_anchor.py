"""`manage.py deploy_audit_anchor`: put the contract on the chain that keeps heads of the audit trail."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from eth_account import Account
from eth_utils.exceptions import ValidationError

from chain.lending import deployment
from chain.rpc.clients import ChainUnavailable, RpcError, get_client

DEFAULT_KEY_VARIABLE = "DEPLOYER_PRIVATE_KEY"


class Command(BaseCommand):
    """The key pays the gas and has no rights afterwards."""

    help = "Deploy AuditAnchor with the key in an environment variable, and print its address (AUDIT_ANCHOR_ADDRESS)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--key-variable", default=DEFAULT_KEY_VARIABLE, help="environment variable with a key")

    def handle(self, **options: Any) -> None:
        key = os.environ.get(options["key_variable"], "")
        try:
            Account.from_key(key)
        except (ValueError, ValidationError) as error:
            raise CommandError(f"{options['key_variable']} holds no private key") from error
        try:
            self.stdout.write(deployment.deploy_audit_anchor(client=get_client(), key=key))
        except (ChainUnavailable, RpcError, deployment.DeploymentFailed) as error:
            raise CommandError(str(error)) from error
