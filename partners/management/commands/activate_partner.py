"""`manage.py activate_partner`: let a suspended or inactive partner act again."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from partner_platform.core.errors import BadRequest
from partners import services
from partners.management.support import ACTOR, require_partner
from partners.rules import status_of


class Command(BaseCommand):
    help = "Let a suspended or inactive partner act again. Its API keys and terms are as they were."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("--yes", action="store_true", help="whatever it is suspended for")

    def handle(self, *args: object, partner_id: str, yes: bool, **options: object) -> None:
        shown = require_partner(partner_id)
        if shown.status_reason and not yes:
            raise CommandError(
                f"It is {status_of(shown)}, because {shown.status_reason}. Say --yes where that is settled."
            )
        try:
            partner = services.activate_partner(partner=shown, actor=ACTOR, seen=shown.status_changes)
        except BadRequest as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{partner.partner_id} is active.")
