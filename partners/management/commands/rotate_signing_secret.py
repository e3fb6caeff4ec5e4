"""`manage.py rotate_signing_secret`: a new signing secret for a partner, shown once."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from partners import credentials
from partners.management.support import PARTNER_ID_HELP, SAVE_IT, require_partner
from partners.rules import MAX_GRACE_HOURS


class Command(StaffCommand):
    help = "Make a new signing secret for a partner and show it, once; with --require its calls must be signed."
    field_options = {"gracePeriodHours": "--grace-hours"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument(
            "--grace-hours",
            type=int,
            default=0,
            help=f"how long the old secret still signs, 0 (default) to {MAX_GRACE_HOURS}",
        )
        parser.add_argument("--require", action="store_true", help="refuse the partner's unsigned calls from now on")

    def act(self, *, partner_id: str, grace_hours: int, require: bool, **options: object) -> None:
        partner = require_partner(partner_id)
        secret = credentials.rotate_signing_secret(partner=partner, actor=self.actor, grace_hours=grace_hours)
        if require:
            credentials.set_signing_required(partner=partner, actor=self.actor, required=True)
        self.show(
            {"partnerId": partner.partner_id, "signingSecret": secret, "gracePeriodHours": grace_hours},
            f"Partner: {partner.partner_id}\nSigning secret: {secret}",
            SAVE_IT.replace("API key", "signing secret"),
        )
