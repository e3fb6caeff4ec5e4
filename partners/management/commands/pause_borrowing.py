"""`manage.py pause_borrowing`: take no new borrows from anybody."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from partners.stopping import pause


class Command(StaffCommand):
    help = (
        "Refuse new borrows of all partners with 503 borrowing_paused. Repayments, reads and the settlement of what "
        "was accepted go on."
    )
    field_options = {"reason": "--reason"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="for those who come after you")

    def act(self, *, reason: str, **options: object) -> None:
        pause.pause_borrowing(actor=self.actor, reason=reason)
        self.show({"borrowing": "paused"}, "New borrows are paused, of every partner.")
