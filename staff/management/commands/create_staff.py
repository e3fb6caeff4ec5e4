"""`manage.py create_staff`: an account for a colleague, with the roles that the actor may give."""

import secrets
from collections.abc import Mapping

from django.core.management.base import CommandParser

from authority.commands import StaffCommand, add_reason_option, waiting_sentence
from authority.roles import Role
from partner_platform.core.postponed import Postponed
from staff.services.accounts import open_account
from staff.services.first_admins import is_empty_system, open_first_admin, open_with_roles

PASSWORD_BYTES = 18


class Command(StaffCommand):
    help = (
        "Open an account of staff and show its password, once. The first two accounts of a system are its admins: "
        "nobody needs to act for them. Later an account with roles is opened by a superuser, one without by whoever "
        "may manage staff."
    )
    field_options = {"username": "username", "email": "--email"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="with which the person signs in")
        parser.add_argument("--email", required=True, help="the person's own: approvals and warnings go there")
        parser.add_argument(
            "--role",
            dest="roles",
            action="append",
            default=[],
            choices=[str(role) for role in Role],
            help="may be given several times; the first two accounts are superusers with the role admin",
        )
        add_reason_option(parser)

    def changes(self, options: Mapping[str, object]) -> bool:
        return bool(options["as_user"]) or not is_empty_system()

    def act(self, *, username: str, email: str, roles: list[str], as_user: str | None, **options: object) -> None:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        waiting: dict[str, object] | None = None
        given = [Role(role) for role in roles]
        lines = []
        if not self.changes({"as_user": as_user}):
            open_first_admin(username=username, email=email, password=password)
            given = [Role.ADMIN]
        else:
            self.require_right_of(open_account)
            try:
                open_with_roles(actor=self.actor, username=username, email=email, password=password, roles=given)
            except Postponed as waits:
                waiting = waits.answer
                lines.append(f"Its roles: {waiting_sentence(waits)}")
        what = ", ".join(given) or "no role: it may do nothing yet"
        lines[:0] = [f"Account: {username} ({what})", f"Password: {password}", "It will not be shown again!"]
        self.show({"username": username, "roles": given, "password": password, "waiting": waiting}, *lines)
