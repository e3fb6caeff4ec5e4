"""`manage.py approve`: approve or reject a change that somebody else asked for."""

import json

from django.core.management.base import CommandParser

from authority import selectors
from authority.approvals import deciding
from authority.approvals.kinds import title_of
from authority.commands import StaffCommand
from authority.models import Approval


class Command(StaffCommand):
    help = "Approve or reject a change that somebody else asked for. It is shown first, and asked about."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("approval_id", help="as it was told to who asked, and in GET /admin/approvals")
        parser.add_argument("--reason", required=True, help="why it is decided so; kept in the audit trail")
        parser.add_argument("--reject", action="store_true", help="reject it: nothing is changed")
        parser.add_argument("--yes", action="store_true", help="approve without being asked")

    def act(self, *, approval_id: str, reason: str, reject: bool, yes: bool, **options: object) -> None:
        self._tell(selectors.get_approval(approval_id))
        if reject:
            row = deciding.reject(approval_id=approval_id, actor=self.actor, reason=reason)
            self.show(_shown(row, {}), "Rejected: nothing was changed.")
            return
        self.confirm("Approve this?", yes=yes)
        done = deciding.approve(approval_id=approval_id, actor=self.actor, reason=reason)
        lines = [f"{name}: {secret}" for name, secret in done.secrets.items()]
        if done.secrets:
            lines.append("Save this securely. It will not be shown again!")
        self.show(_shown(done.approval, done.secrets), "Approved and done.", *lines)

    def _tell(self, row: Approval) -> None:
        self.say(f"{title_of(row.kind)}: {row.target}, asked for by {row.maker}")
        for name in dict.fromkeys([*row.before, *row.after]):
            before, after = (json.dumps(values.get(name)) for values in (row.before, row.after))
            self.say(f"  {name}: {before} -> {after}")
        self.say(f"  impact: {row.impact or '-'}\n  reason: {row.reason or '-'}")


def _shown(row: Approval, secrets: dict[str, str]) -> dict[str, object]:
    return {"approvalId": str(row.pk), "status": str(row.status), "result": secrets}
