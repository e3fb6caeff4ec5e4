"""`manage.py fund_partner`: USDC and an allowance for a partner's settlement address on the sandbox's chain."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from partner_platform.core.money import format_dollars
from partners.management.support import require_partner
from sandbox.keys import key_pair


class Command(BaseCommand):
    help = (
        "Put USDC on a partner's settlement address and let the platform's executor pull it, so that its repayments "
        "are paid. On a sandbox's chain only, for addresses that `import_partners --placeholder-addresses` made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")

    def handle(self, *args: Any, **options: Any) -> None:
        from sandbox import furnish  # web3 takes a second to import

        if not settings.IS_SANDBOX:
            raise CommandError("This is for a sandbox: on a real chain a partner funds its own address.")
        partner = require_partner(options["partner_id"])
        if partner.settlement_address != key_pair(f"settlement:{partner.partner_id}").address:
            raise CommandError(f"The sandbox has no key of {partner.settlement_address}: its owner must fund it.")
        furnish.fund_partner(partner.partner_id)
        held = format_dollars(furnish.SETTLEMENT_USDC)
        self.stdout.write(f"{partner.settlement_address} was given {held}, and the executor may pull it.")
