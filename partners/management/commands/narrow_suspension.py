"""`manage.py narrow_suspension`: let a suspended partner read and repay again; its borrows stay refused."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from partner_platform.core.errors import BadRequest
from partners import services
from partners.management.support import ACTOR, require_partner


class Command(BaseCommand):
    help = "Let a suspended partner read and repay again. Its borrows stay refused until it is activated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("--reason", default="", help="kept beside those why it was suspended")
        parser.add_argument("--yes", action="store_true", help="whatever it is suspended for")

    def handle(self, *args: object, partner_id: str, reason: str, yes: bool, **options: object) -> None:
        shown = require_partner(partner_id)
        if shown.status_reason and not yes:
            raise CommandError(f"It is {shown.status}, because {shown.status_reason}. Say --yes where that is settled.")
        try:
            partner = services.narrow_suspension(partner=shown, actor=ACTOR, reason=reason, seen=shown.status_changes)
        except BadRequest as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{partner.partner_id} may read and repay, and not borrow.")
