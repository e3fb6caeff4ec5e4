"""Who acts. `needs` is the one place where a right is asked for.

    @needs(Right.SUSPEND_PARTNERS)
    def suspend_partner(*, partner: Partner, actor: str, …) -> Partner:

The `actor` of a change is a text, as the audit trail records it: `staff:{username}`, `partner:{partnerId}`, `system…`.
Where a person of staff acts it is a `Staff`, which has their rights too. A plain text that says `staff:` is refused as
a programming error: nobody becomes staff by spelling it. Partners change what is theirs by the scopes of their keys,
and the platform's own tasks act by what they are; neither is asked for rights.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, Self, TypeVar, cast

from django.contrib.auth.models import AbstractUser, AnonymousUser

from authority.rights import Right
from authority.tickets import Ticket
from partner_platform.core.errors import ErrorCode, Forbidden

P = ParamSpec("P")
T = TypeVar("T")
PREFIX = "staff:"


class Staff(str):
    """A person of staff who acts: `staff:{username}`, and the rights that they have now."""

    __slots__ = ("account", "break_glass", "reason", "rights", "ticket", "username")
    rights: frozenset[Right]
    username: str
    account: str  # the primary key of the user, as text; empty where it is not known
    reason: str  # why they act, for who approves it
    break_glass: str  # why this act does without the second person; empty: it does not
    ticket: Ticket | None  # the approval under which they act

    def __new__(
        cls,
        username: str,
        rights: Iterable[Right],
        *,
        account: str = "",
        reason: str = "",
        break_glass: str = "",
        ticket: Ticket | None = None,
    ) -> Self:
        staff = super().__new__(cls, f"{PREFIX}{username}")
        staff.username = username
        staff.rights = frozenset(rights)
        staff.account = account
        staff.reason = reason
        staff.break_glass = break_glass
        staff.ticket = ticket
        return staff


def staff_of(
    user: AbstractUser | AnonymousUser, *, reason: str = "", break_glass: str = "", ticket: Ticket | None = None
) -> Staff:
    """The user as an actor, with the rights of this moment; who is no active member of staff has none."""
    is_staff = user.is_active and user.is_staff
    rights = [right for right in Right if is_staff and user.has_perm(right)]
    account = "" if user.pk is None else str(user.pk)
    return Staff(user.get_username(), rights, account=account, reason=reason, break_glass=break_glass, ticket=ticket)


def require_right(actor: str, right: Right) -> None:
    """Raise 403 `right_missing` where a person acts who does not have it."""
    if isinstance(actor, Staff):
        if right not in actor.rights:
            raise Forbidden(ErrorCode.RIGHT_MISSING, f"This needs the right {right}", details={"right": str(right)})
    elif actor.startswith(PREFIX):
        raise TypeError(f"{actor!r} is a text: people act as a Staff, with the rights that they have")


def needs(right: Right) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a service with the keyword argument `actor`; `service.right` says which right it needs."""

    def decorate(service: Callable[P, T]) -> Callable[P, T]:
        @wraps(service)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            require_right(cast(str, kwargs["actor"]), right)
            return service(*args, **kwargs)

        checked.right = right  # type: ignore[attr-defined]
        return checked

    return decorate
