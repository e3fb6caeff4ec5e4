"""`manage.py approve`: approve or reject a change that somebody else asked for."""

import json

from django.core.management.base import BaseCommand, CommandError, CommandParser

from authority import selectors
from authority.acting import staff_of
from authority.approvals import deciding
from authority.approvals.kinds import title_of
from authority.approvals.people import find_user
from authority.models import Approval
from partner_platform.core.errors import PlatformError


class Command(BaseCommand):
    help = "Approve or reject a change that somebody else asked for. It is shown first, and asked about."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("approval_id", help="as it was told to who asked, and in GET /admin/approvals")
        parser.add_argument("--as", dest="username", required=True, metavar="USER", help="who decides")
        parser.add_argument("--reason", required=True, help="why it is decided so; kept in the audit trail")
        parser.add_argument("--reject", action="store_true", help="reject it: nothing is changed")
        parser.add_argument("--yes", action="store_true", help="approve without being asked")

    def handle(
        self,
        *args: object,
        approval_id: str,
        username: str,
        reason: str,
        reject: bool,
        yes: bool,
        **options: object,
    ) -> None:
        user = find_user(username)
        if user is None:
            raise CommandError(f"There is no member of staff {username!r}")
        try:
            self._show(selectors.get_approval(approval_id))
            if reject:
                deciding.reject(approval_id=approval_id, actor=staff_of(user), reason=reason)
                self.stdout.write("Rejected: nothing was changed.")
                return
            if not yes and input("Approve this? [y/N] ").strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing was decided.")
            done = deciding.approve(approval_id=approval_id, actor=staff_of(user), reason=reason)
        except PlatformError as error:
            raise CommandError(error.message) from error
        except EOFError as error:
            raise CommandError("There is nobody to ask: say --yes.") from error
        self.stdout.write("Approved and done.")
        for name, secret in done.secrets.items():
            self.stdout.write(f"{name}: {secret}")
        if done.secrets:
            self.stdout.write("Save this securely. It will not be shown again!")

    def _show(self, row: Approval) -> None:
        self.stdout.write(f"{title_of(row.kind)}: {row.target}, asked for by {row.maker}")
        for name in dict.fromkeys([*row.before, *row.after]):
            before, after = (json.dumps(values.get(name)) for values in (row.before, row.after))
            self.stdout.write(f"  {name}: {before} -> {after}")
        self.stdout.write(f"  impact: {row.impact or '-'}\n  reason: {row.reason or '-'}")
