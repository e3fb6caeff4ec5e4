"""`manage.py show_partner`: a partner's terms, status and sums."""

from django.core.management.base import CommandParser

from partner_platform.core.management.output import JsonCommand
from partners.management.support import PARTNER_ID_HELP, partner_json, partner_lines, require_partner


class Command(JsonCommand):
    help = "Show a partner's terms, status and sums; no secret is among them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)

    def handle(self, *args: object, partner_id: str, **options: object) -> None:
        partner = require_partner(partner_id)
        self.show(partner_json(partner), *partner_lines(partner))
