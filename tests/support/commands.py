"""Commands in tests, typed by somebody of staff."""

from io import StringIO
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command, get_commands, load_command_class

from authority.commands import StaffCommand
from tests.support.acting import group_of


def person(username: str = "ann", *roles: str) -> str:
    """The name of an account of staff with these roles; without any it is a superuser. Made where there is none."""
    if not User.objects.filter(username=username).exists():
        user = User.objects.create_user(username, f"{username}@platform.example", is_staff=True)
        User.objects.filter(pk=user.pk).update(is_superuser=not roles)
        user.groups.set([group_of(role) for role in roles])
    return username


def type_command(name: str, *arguments: str, as_user: str = "ann", **options: Any) -> None:
    """`call_command`; where the command acts, as `as_user`, who is made a superuser where there is no such account."""
    app = get_commands()[name]
    if isinstance(load_command_class(str(app), name), StaffCommand):
        options["as_user"] = person(as_user)
    call_command(name, *arguments, **options)


def said_by(name: str, *arguments: str, as_user: str = "ann", **options: Any) -> str:
    """What the command writes to standard output."""
    out = StringIO()
    type_command(name, *arguments, as_user=as_user, stdout=out, **options)
    return out.getvalue()
