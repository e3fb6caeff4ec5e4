"""The access review: who may do what, when they last signed in, and with which factors."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import IO

from django.contrib.auth.models import User
from django.db.models import Count, QuerySet

from audit.selectors import actors_of
from authority.rights import Right
from authority.roles import Role, rights_of
from partner_platform.core.clock import isoformat
from staff.access.api_sessions import open_api_sessions
from staff.models import Passkey, RecoveryCode, TotpDevice
from staff.services.accounts import OPENED
from staff.services.whom import user_target
from staff.sessions.lifetime import open_sessions


@dataclass(frozen=True)
class AccountAccess:
    """One account. What there are several of is separated by spaces."""

    username: str
    active: bool
    staff: bool
    superuser: bool
    roles: str
    rights: str
    last_sign_in: str  # ISO 8601 in UTC; empty: never
    second_factors: str  # `app`, `passkeys:2`, `recovery_codes:9`
    open_sessions: int  # of the console and of the API
    opened_by: str  # actor of the audit trail; empty: it was not opened through these services


COLUMNS = [field.name for field in fields(AccountAccess)]


def access_review() -> list[AccountAccess]:
    """All accounts, by name, in a fixed number of queries."""
    users = list(User.objects.order_by("username"))
    roles = _roles_by_user()
    factors = _factors_by_user()
    sessions = Counter(open_sessions().values_list("user_id", flat=True))
    sessions.update(open_api_sessions().values_list("user_id", flat=True))
    opened = actors_of(OPENED, targets=[user_target(user) for user in users])
    return [
        AccountAccess(
            username=user.username,
            active=user.is_active,
            staff=user.is_staff,
            superuser=user.is_superuser,
            roles=" ".join(roles[user.pk]),
            rights=" ".join(_rights(user, roles[user.pk])),
            last_sign_in=isoformat(user.last_login) or "",
            second_factors=" ".join(factors[user.pk]),
            open_sessions=sessions[user.pk],
            opened_by=opened.get(user_target(user), ""),
        )
        for user in users
    ]


def lines_of(accounts: Sequence[AccountAccess]) -> Iterator[list[str]]:
    """The accounts as texts, in the order of `COLUMNS`; none is a formula to a spreadsheet."""
    for account in accounts:
        yield [_cell(value) for value in astuple(account)]


def write_csv(output: IO[str]) -> None:
    """The whole review as CSV, with a line of names."""
    writer = csv.writer(output)
    writer.writerow(COLUMNS)
    writer.writerows(lines_of(access_review()))


def _cell(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _rights(user: User, roles: Sequence[str]) -> list[str]:
    """What the account may do while it is active and of staff; the rights' own names without `staff.`."""
    if not (user.is_active and user.is_staff):
        return []
    rights = frozenset(Right) if user.is_superuser else rights_of(roles)
    return sorted(right.partition(".")[2] for right in rights)


def _roles_by_user() -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    membership = User.groups.through.objects.select_related("group").order_by("group__name")
    for row in membership:
        if row.group.name in set(Role):
            found[row.user_id].append(row.group.name)
    return found


def _factors_by_user() -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for user_id in TotpDevice.objects.values_list("user_id", flat=True):
        found[user_id].append("app")
    for user_id, number in _counted(Passkey.objects.all()):
        found[user_id].append(f"passkeys:{number}")
    for user_id, number in _counted(RecoveryCode.objects.filter(used_at=None)):
        found[user_id].append(f"recovery_codes:{number}")
    return found


def _counted(rows: QuerySet[Passkey] | QuerySet[RecoveryCode]) -> Iterator[tuple[int, int]]:
    yield from rows.values_list("user_id").annotate(number=Count("pk")).order_by("user_id")
