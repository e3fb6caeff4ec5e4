"""`manage.py login`: prove who you are, so that commands act as you for 15 minutes."""

import datetime as dt
import getpass
import sys

from django.core.management.base import CommandError, CommandParser

from authority import command_tokens
from partner_platform.core import clock
from partner_platform.core.errors import Unauthorized
from partner_platform.core.management.output import JsonCommand
from staff.services.command_sign_in import sign_in_for_commands


class Command(JsonCommand):
    help = (
        f"Log in as a member of staff: the commands that change something then act as you with --as USER, for "
        f"{command_tokens.MINUTES} minutes. The password, and where the account has a second factor its code, are "
        "asked for, or read from standard input, a line each. The token is kept in a file, and never shown."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="as_user", metavar="USER", help="the member of staff")
        parser.add_argument("--end", action="store_true", help="log out: delete the token")

    def handle(self, *args: object, as_user: str | None, end: bool, **options: object) -> None:
        try:
            if end:
                command_tokens.forget_token()
                self.show({"username": None, "expiresAt": None}, "Nobody is logged in here any more.")
                return
            if not as_user:
                raise CommandError("Say who logs in: --as USER.")
            password = _secret("Password: ")
            user = sign_in_for_commands(username=as_user, password=password, ask_code=lambda: _secret("Code: "))
        except (command_tokens.TokenRefused, Unauthorized) as refused:
            raise CommandError(f"{refused}.") from refused
        name, until = user.get_username(), clock.now() + dt.timedelta(minutes=command_tokens.MINUTES)
        self.show(
            {"username": name, "expiresAt": clock.isoformat(until)},
            f"{name} is logged in here until {until:%H:%M:%S} UTC: commands act as {name} with --as {name}.",
        )


def _secret(question: str) -> str:
    """A line that is not shown: from the terminal, or from standard input where that is none."""
    return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
