"""Who may decide about a change, who is told of it, and whether two accounts are one person's."""

import datetime as dt
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import User

from audit.models import AuditEntry
from authority.acting import PREFIX, Staff, staff_of
from authority.rights import Right
from authority.roles import Role
from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode, Forbidden

# Acts on an account after which whoever did them may be the one who signs in with it.
TAKES_HOLD = frozenset({"staff.account_opened", "staff.password_changed", "staff.factors_reset", "staff.wallet_linked"})
HELD_HOURS = 72  # at least; in that time the account's owner finds the old password or factor refused


def require_second_person(username: str, account: str, other: Staff, *, because: str) -> None:
    """Raise 403 `self_approval`, saying `because`, where the account and `other` are one person's (`is_same_person`).

    So it is, too, where lately one of them, or the same third person, opened the other's account or gave it a way to
    sign in: that person could be the one who signs in with it.
    """
    if is_same_person(username, account, other):
        raise Forbidden(ErrorCode.SELF_APPROVAL, because)
    if not _holders_of(username).isdisjoint(_holders_of(other.username)):
        message = f"Lately one person opened or reset the account of {username} or {other.username}: ask somebody else"
        raise Forbidden(ErrorCode.SELF_APPROVAL, message)


def _holders_of(username: str) -> set[str]:
    """Who may be signing in with the account: its owner, and staff who took hold of it."""
    owner = f"{PREFIX}{username}"
    since = clock.now() - dt.timedelta(hours=max(HELD_HOURS, settings.APPROVAL_HOURS))
    acts = AuditEntry.objects.filter(target=_target(username), timestamp__gt=since, action__in=sorted(TAKES_HOLD))
    return {owner, *(actor for actor in acts.values_list("actor", flat=True) if actor.startswith(PREFIX))}


def is_same_person(username: str, account: str, other: Staff) -> bool:
    """Whether an account, by its user name and primary key, is `other`'s, or both have one e-mail address, or had."""
    if username.casefold() == other.username.casefold() or (account and account == other.account):
        return True
    return not _addresses_of(username).isdisjoint(_addresses_of(other.username))


def _addresses_of(username: str) -> set[str]:
    """The account's e-mail addresses, former ones too: who manages staff corrects their own."""
    known = list(User.objects.filter(username=username).values_list("email", flat=True))
    corrected = AuditEntry.objects.filter(target=_target(username), action="staff.details_changed")
    known += [str((before or {}).get("email", "")) for before in corrected.values_list("before", flat=True)]
    return {address.strip().casefold() for address in known if address.strip()}


def _target(username: str) -> str:
    return f"{PREFIX}{username}"[:120]


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
