"""`manage.py rotate_signing_secret`: a new signing secret for a partner, shown once."""

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners import credentials
from partners.management.support import ACTOR, SAVE_IT, command_error, require_partner
from partners.rules import MAX_GRACE_HOURS


class Command(BaseCommand):
    help = "Make a new signing secret for a partner and show it, once; with --require its calls must be signed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument(
            "--grace-hours",
            type=int,
            default=0,
            help=f"how long the old secret still signs, 0 (default) to {MAX_GRACE_HOURS}",
        )
        parser.add_argument("--require", action="store_true", help="refuse the partner's unsigned calls from now on")

    def handle(self, *args: object, partner_id: str, grace_hours: int, require: bool, **options: object) -> None:
        partner = require_partner(partner_id)
        try:
            secret = credentials.rotate_signing_secret(partner=partner, actor=ACTOR, grace_hours=grace_hours)
        except BadRequest as error:
            raise command_error(error, {"gracePeriodHours": "--grace-hours"}) from error
        if require:
            credentials.set_signing_required(partner=partner, actor=ACTOR, required=True)
        self.stdout.write(f"Partner: {partner.partner_id}\nSigning secret: {secret}")
        self.stdout.write(SAVE_IT.replace("API key", "signing secret"))
