"""`manage.py suspend_partner`: refuse a partner's calls from now on."""

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from partners import services
from partners.management.support import PARTNER_ID_HELP, require_partner, status_json
from partners.models import SuspensionScope


class Command(StaffCommand):
    help = (
        "Refuse a partner's calls, or its borrows alone, from now on. A borrow being accepted at this moment is "
        "refused too; loans in flight still settle."
    )

    field_options = {"scope": "--scope"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("--reason", default="", help="for those who come after you")
        parser.add_argument(
            "--scope",
            default=SuspensionScope.ALL,
            choices=SuspensionScope.values,
            help="BORROWING: only its borrows are refused, it still reads and repays",
        )

    def act(self, *, partner_id: str, reason: str, scope: str, **options: object) -> None:
        partner = require_partner(partner_id)
        partner = services.suspend_partner(partner=partner, actor=self.actor, reason=reason, scope=scope)
        what = "suspended" if scope == SuspensionScope.ALL else "suspended for borrowing"
        self.show(status_json(partner), f"{partner.partner_id} is {what}.")
