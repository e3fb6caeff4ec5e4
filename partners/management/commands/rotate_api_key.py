"""`manage.py rotate_api_key`: a new key for a partner, shown once."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand, add_reason_option
from partners import services
from partners.management.support import PARTNER_ID_HELP, SAVE_IT, require_partner
from partners.rules import MAX_GRACE_HOURS


class Command(StaffCommand):
    help = (
        "Make a new API key for a partner and show it, once. The old key dies at once, or after --grace-hours; "
        "at most two keys live."
    )
    field_options = {"gracePeriodHours": "--grace-hours"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument(
            "--grace-hours",
            type=int,
            default=0,
            help=f"how long the old key still works, 0 (default) to {MAX_GRACE_HOURS}",
        )
        add_reason_option(parser)

    def act(self, *, partner_id: str, grace_hours: int, **options: object) -> None:
        partner = require_partner(partner_id)
        key = services.rotate_api_key(partner=partner, actor=self.actor, grace_hours=grace_hours)
        old = f"works for {grace_hours} more hours" if grace_hours else "no longer works"
        self.show(
            {"partnerId": partner.partner_id, "apiKey": key, "gracePeriodHours": grace_hours},
            f"Partner: {partner.partner_id}\nAPI key: {key}\nThe old key {old}.\n{SAVE_IT}",
        )
