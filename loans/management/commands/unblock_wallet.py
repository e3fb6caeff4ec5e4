"""`manage.py unblock_wallet`: lend to a blocked wallet again."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from loans.stopping import wallets
from partner_platform.core.errors import BadRequest, NotFound
from partners.management.support import ACTOR, command_error


class Command(BaseCommand):
    help = "Lend to a blocked wallet again, whichever partner it comes by. What it owes can be repaid."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("wallet", help="0x and 40 hex digits")
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def handle(self, *args: object, wallet: str, reason: str, **options: object) -> None:
        try:
            row = wallets.unblock_wallet(wallet=wallet, actor=ACTOR, reason=reason)
        except BadRequest as error:
            raise command_error(error, {"wallet": "the wallet", "reason": "--reason"}) from error
        except NotFound as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{row} is not blocked any more.")
