"""`manage.py block_wallet`: make no more loans to a wallet."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from loans.stopping import wallets
from partner_platform.core.errors import BadRequest, NotFound
from partners.management.support import ACTOR, command_error


class Command(BaseCommand):
    help = "Make no more loans to a wallet, whichever partner it comes by. What it owes can be repaid."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("wallet", help="0x and 40 hex digits")
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def handle(self, *args: object, wallet: str, reason: str, **options: object) -> None:
        try:
            row = wallets.block_wallet(wallet=wallet, actor=ACTOR, reason=reason)
        except BadRequest as error:
            raise command_error(error, {"wallet": "the wallet", "reason": "--reason"}) from error
        except NotFound as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{row} is blocked.")
