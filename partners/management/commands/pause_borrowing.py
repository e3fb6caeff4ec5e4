"""`manage.py pause_borrowing`: take no new borrows from anybody."""

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners.management.support import ACTOR, command_error
from partners.stopping import pause


class Command(BaseCommand):
    help = (
        "Refuse new borrows of all partners with 503 borrowing_paused. Repayments, reads and the settlement of what "
        "was accepted go on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def handle(self, *args: object, reason: str, **options: object) -> None:
        try:
            pause.pause_borrowing(actor=ACTOR, reason=reason)
        except BadRequest as error:
            raise command_error(error, {"reason": "--reason"}) from error
        self.stdout.write("New borrows are paused, of every partner.")
