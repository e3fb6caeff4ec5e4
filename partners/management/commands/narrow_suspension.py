"""`manage.py narrow_suspension`: let a suspended partner read and repay again; its borrows stay refused."""

from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from partners import services
from partners.management.support import PARTNER_ID_HELP, require_partner, status_json


class Command(StaffCommand):
    help = "Let a suspended partner read and repay again. Its borrows stay refused until it is activated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("--reason", default="", help="kept beside those why it was suspended")
        parser.add_argument("--yes", action="store_true", help="whatever it is suspended for")

    def act(self, *, partner_id: str, reason: str, yes: bool, **options: object) -> None:
        self.require_right_of(services.narrow_suspension)
        shown = require_partner(partner_id)
        if shown.status_reason and not yes:
            raise CommandError(f"It is {shown.status}, because {shown.status_reason}. Say --yes where that is settled.")
        partner = services.narrow_suspension(partner=shown, actor=self.actor, reason=reason, seen=shown.status_changes)
        self.show(status_json(partner), f"{partner.partner_id} may read and repay, and not borrow.")
