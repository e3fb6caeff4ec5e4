"""Commands that change something. Each acts as a member of staff, with their rights, and the audit trail names them.

    class Command(StaffCommand):
        field_options = {"gracePeriodHours": "--grace-hours"}

        def act(self, *, partner_id: str, **options: object) -> None:
            services.suspend_partner(partner=require_partner(partner_id), actor=self.actor)
            self.say(f"{partner_id} is suspended.")

`--as USER` says who acts; a token of `manage.py login --as USER` proves it (`authority.command_tokens`), but for a
sandbox, where the name is enough. What the platform refuses ends the command with exit code 1 and a sentence.
"""

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from audit.services import record_change
from authority import command_tokens
from authority.acting import Staff, require_right, staff_of
from authority.rights import Right
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, Forbidden, PlatformError
from partner_platform.core.management.output import JsonCommand
from partner_platform.core.postponed import Postponed


class StaffCommand(JsonCommand):
    """A command that acts as somebody; `act` is what it does, `self.actor` who does it."""

    actor: Staff
    field_options: Mapping[str, str] = {}  # the contract's fields by the command's names: {"tier": "--tier"}

    def add_common_options(self, parser: CommandParser) -> None:
        """`--json`, `--as` and `--break-glass`."""
        super().add_common_options(parser)
        add_acting_options(parser, default=None)

    def act(self, *args: Any, **options: Any) -> None:
        """What the command does."""
        raise NotImplementedError

    def changes(self, options: Mapping[str, object]) -> bool:
        """False where these options only show something: then nobody needs to act."""
        return True

    def handle(self, *args: Any, **options: Any) -> None:
        if self.changes(options):
            self.actor = _actor(options)
        try:
            self.act(**options)
        except Postponed as waits:
            self.show(waits.answer, waiting_sentence(waits))
        except Forbidden as refusal:
            self._refuse(refusal)
        except PlatformError as error:
            raise self._error_of(error) from error

    def require_right_of(self, service: Callable[..., object]) -> None:
        """Refuse now who lacks the right that the service needs: before a question, a signature, a transaction."""
        right: Right = service.right  # type: ignore[attr-defined]  # of `acting.needs`
        require_right(self.actor, right)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Return where a person says yes, or where `--yes` said so before; else `CommandError`, nothing was done."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Say --yes.")
        if self.as_json:
            self.say(question)  # a prompt would be among the JSON
        if input("" if self.as_json else f"{question} [yes/no] ").strip().lower() != "yes":
            raise CommandError("nothing was done")

    def _refuse(self, refusal: Forbidden) -> NoReturn:
        command = type(self).__module__.rpartition(".")[2]
        right = refusal.details.get("right")
        run_in_transaction(
            lambda: record_change(
                actor=self.actor,
                action="staff.refused",
                target=f"command:{command}",
                after={"code": refusal.code, **({"right": right} if right else {})},
            )
        )
        what = f"{self.actor.username} does not have the right {right}" if right else refusal.message
        raise CommandError(f"{command} was refused: {what}") from refusal

    def _error_of(self, error: PlatformError) -> CommandError:
        """A refusal by field as one by option."""
        if not isinstance(error, BadRequest):
            return CommandError(error.message)
        named = [
            f"{self.field_options.get(name, name)}: {problems[0]}"
            for name, problems in error.details.items()
            if isinstance(problems, list)
        ]
        return CommandError("\n".join(named) or error.message)


def waiting_sentence(waits: Postponed) -> str:
    """For a person: what was asked for is not done yet."""
    return f"Waits for a second person: approval {waits.answer['approvalId']}. Nothing is changed yet."


def add_reason_option(parser: ArgumentParser) -> None:
    """`--reason`, for a change that may need a second person, who reads it."""
    parser.add_argument("--reason", default="", help="why, for whoever approves it")


def add_acting_options(parser: ArgumentParser, default: str | None = SUPPRESS) -> None:
    """`--as` and `--break-glass`; for a parser of a subcommand too, which leaves alone what was said before it."""
    parser.add_argument("--as", dest="as_user", metavar="USER", default=default, help="the member of staff who acts")
    parser.add_argument(
        "--break-glass",
        metavar="REASON",
        default=default if default is SUPPRESS else "",
        help="do without the second person; every admin is told, and the act must be reviewed",
    )


def _actor(options: Mapping[str, Any]) -> Staff:
    """Who acts. `CommandError` where nobody is named, where the account is closed, or without a valid token."""
    username = options["as_user"]
    if not username:
        raise CommandError("Say who acts: --as USER, after manage.py login --as USER.")
    user = User.objects.filter(username=username).first()
    if user is None or not user.is_active or not user.is_staff:
        raise CommandError(f"{username!r} is no open account of staff: ask an admin, or act as somebody else.")
    try:
        if not settings.IS_SANDBOX:
            command_tokens.require_token_of(user, command_tokens.stored_token(username))
    except command_tokens.TokenRefused as refused:
        raise CommandError(f"{refused}.") from refused
    return staff_of(user, reason=options.get("reason") or "", break_glass=options["break_glass"])
