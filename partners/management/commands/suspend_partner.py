"""`manage.py suspend_partner`: refuse a partner's calls from now on."""

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners import services
from partners.management.support import ACTOR, command_error, require_partner
from partners.models import SuspensionScope


class Command(BaseCommand):
    help = (
        "Refuse a partner's calls, or its borrows alone, from now on. A borrow being accepted at this moment is "
        "refused too; loans in flight still settle."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("--reason", default="", help="for those who come after you")
        parser.add_argument(
            "--scope",
            default=SuspensionScope.ALL,
            choices=SuspensionScope.values,
            help="BORROWING: only its borrows are refused, it still reads and repays",
        )

    def handle(self, *args: object, partner_id: str, reason: str, scope: str, **options: object) -> None:
        partner = require_partner(partner_id)
        try:
            partner = services.suspend_partner(partner=partner, actor=ACTOR, reason=reason, scope=scope)
        except BadRequest as error:
            raise command_error(error, {"scope": "--scope"}) from error
        what = "suspended" if scope == SuspensionScope.ALL else "suspended for borrowing"
        self.stdout.write(f"{partner.partner_id} is {what}.")
