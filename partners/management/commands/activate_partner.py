"""`manage.py activate_partner`: let a suspended or inactive partner act again."""

from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand, add_reason_option
from partners import services
from partners.management.support import PARTNER_ID_HELP, require_partner, status_json
from partners.rules import status_of


class Command(StaffCommand):
    help = "Let a suspended or inactive partner act again. Its API keys and terms are as they were."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("--yes", action="store_true", help="whatever it is suspended for")
        add_reason_option(parser)

    def act(self, *, partner_id: str, yes: bool, **options: object) -> None:
        self.require_right_of(services.activate_partner)
        shown = require_partner(partner_id)
        if shown.status_reason and not yes:
            raise CommandError(
                f"It is {status_of(shown)}, because {shown.status_reason}. Say --yes where that is settled."
            )
        partner = services.activate_partner(partner=shown, actor=self.actor, seen=shown.status_changes)
        self.show(status_json(partner), f"{partner.partner_id} is active.")
