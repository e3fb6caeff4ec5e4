"""`manage.py resume_borrowing`: take new borrows again."""

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners.management.support import ACTOR, command_error
from partners.stopping import pause


class Command(BaseCommand):
    help = "Take new borrows of all partners again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def handle(self, *args: object, reason: str, **options: object) -> None:
        try:
            pause.resume_borrowing(actor=ACTOR, reason=reason)
        except BadRequest as error:
            raise command_error(error, {"reason": "--reason"}) from error
        self.stdout.write("New borrows are taken.")
