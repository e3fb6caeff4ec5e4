"""Who may decide about a change, who is told of it, and whether two accounts are one person's."""

from collections.abc import Iterable

from django.contrib.auth.models import User

from authority.acting import Staff, staff_of
from authority.rights import Right
from authority.roles import Role


def is_same_person(username: str, account: str, other: Staff) -> bool:
    """Whether an account, by its user name and primary key, is `other`'s, or both have one e-mail address."""
    if username.casefold() == other.username.casefold() or (account and account == other.account):
        return True
    addresses = User.objects.filter(username__in=[username, other.username]).values_list("email", flat=True)
    known = [address.strip().casefold() for address in addresses if address.strip()]
    return len(known) != len(set(known))


def username_of(actor: str) -> str:
    """The user name of `staff:{username}`."""
    return actor.partition(":")[2]


def find_user(username: str) -> User | None:
    """The user with exactly this name."""
    return User.objects.filter(username=username).first()


def having(rights: Iterable[Right], *, but: Staff) -> dict[str, str]:
    """The e-mail addresses of active staff who have all of the rights, by account; without those of `but`."""
    needed = set(rights)
    people = User.objects.filter(is_active__in=[True], is_staff__in=[True]).exclude(email="").order_by("pk")
    found = {}
    for user in people:
        if needed <= staff_of(user).rights and not is_same_person(user.username, str(user.pk), but):
            found[str(user.pk)] = user.email
    return found


def admins() -> dict[str, str]:
    """The e-mail addresses of active superusers and of the role admin, by account."""
    active = User.objects.filter(is_active__in=[True], is_staff__in=[True]).exclude(email="")
    chosen = [*active.filter(is_superuser__in=[True]), *active.filter(groups__name=Role.ADMIN)]
    return {str(user.pk): user.email for user in chosen}
