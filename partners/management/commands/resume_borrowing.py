"""`manage.py resume_borrowing`: take new borrows again."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from partners.stopping import pause


class Command(StaffCommand):
    help = "Take new borrows of all partners again."
    field_options = {"reason": "--reason"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def act(self, *, reason: str, **options: object) -> None:
        pause.resume_borrowing(actor=self.actor, reason=reason)
        self.show({"borrowing": "taken"}, "New borrows are taken.")
