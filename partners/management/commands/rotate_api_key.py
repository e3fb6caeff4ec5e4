"""`manage.py rotate_api_key`: a new key for a partner, shown once."""

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners import services
from partners.management.support import ACTOR, SAVE_IT, command_error, require_partner
from partners.rules import MAX_GRACE_HOURS


class Command(BaseCommand):
    help = (
        "Make a new API key for a partner and show it, once. The old key dies at once, or after --grace-hours; "
        "at most two keys live."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument(
            "--grace-hours",
            type=int,
            default=0,
            help=f"how long the old key still works, 0 (default) to {MAX_GRACE_HOURS}",
        )

    def handle(self, *args: object, partner_id: str, grace_hours: int, **options: object) -> None:
        partner = require_partner(partner_id)
        try:
            key = services.rotate_api_key(partner=partner, actor=ACTOR, grace_hours=grace_hours)
        except BadRequest as error:
            raise command_error(error, {"gracePeriodHours": "--grace-hours"}) from error
        old = f"works for {grace_hours} more hours" if grace_hours else "no longer works"
        self.stdout.write(f"Partner: {partner.partner_id}\nAPI key: {key}\nThe old key {old}.\n{SAVE_IT}")
