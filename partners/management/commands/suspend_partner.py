"""`manage.py suspend_partner`: refuse a partner's calls from now on."""

from django.core.management.base import BaseCommand, CommandParser

from partners import services
from partners.management.support import ACTOR, require_partner


class Command(BaseCommand):
    help = (
        "Refuse a partner's calls from now on. A borrow being accepted at this moment is refused too; "
        "loans in flight still settle."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("--reason", default="", help="for those who come after you")

    def handle(self, *args: object, partner_id: str, reason: str, **options: object) -> None:
        partner = require_partner(partner_id)
        partner = services.suspend_partner(partner=partner, actor=ACTOR, reason=reason)
        self.stdout.write(f"{partner.partner_id} is suspended.")
