"""`manage.py activate_partner`: let a suspended or inactive partner act again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from partners import services
from partners.management.support import ACTOR, require_partner


class Command(BaseCommand):
    help = "Let a suspended or inactive partner act again. Its API keys and terms are as they were."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")

    def handle(self, *args: Any, **options: Any) -> None:
        partner = services.activate_partner(partner=require_partner(options["partner_id"]), actor=ACTOR)
        self.stdout.write(f"{partner.partner_id} is active.")
