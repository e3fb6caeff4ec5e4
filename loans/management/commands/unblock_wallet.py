"""`manage.py unblock_wallet`: lend to a blocked wallet again."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from loans.stopping import wallets


class Command(StaffCommand):
    help = "Lend to a blocked wallet again, whichever partner it comes by. What it owes can be repaid."
    field_options = {"wallet": "the wallet", "reason": "--reason"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("wallet", help="0x and 40 hex digits")
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def act(self, *, wallet: str, reason: str, **options: object) -> None:
        row = wallets.unblock_wallet(wallet=wallet, actor=self.actor, reason=reason)
        self.show({"wallet": str(row)}, f"{row} is not blocked any more.")
