"""Staff who act in tests."""

from collections.abc import Iterable

from django.contrib.auth.models import Group

from authority.acting import Staff
from authority.rights import Right


def staff(username: str = "ann", rights: Iterable[Right] = tuple(Right)) -> Staff:
    """A member of staff, by default with every right."""
    return Staff(username, rights)


def group_of(name: str) -> Group:
    """The group of a role, or with `groups_of_one_right` of a single right."""
    return Group.objects.get_or_create(name=name)[0]
