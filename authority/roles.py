"""Which role has which rights. A Django group of the role's name says who has the role; what a role may do is decided
here, under review, and not by rows.
"""

from collections.abc import Iterable
from enum import StrEnum

from authority.rights import SEEN_WITH, Right


class Role(StrEnum):
    """A role, and the name of its group."""

    VIEWER = "viewer"
    SUPPORT = "support"
    CREDIT = "credit"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


_SEES = frozenset(
    {
        Right.VIEW_PARTNERS,
        Right.VIEW_LOANS,
        Right.VIEW_SETTLEMENT,
        Right.VIEW_WEBHOOKS,
        Right.VIEW_APPROVALS,
    }
)
# What protects may be done by everybody who works here; what lifts the protection is for fewer.
_PROTECTS = frozenset({Right.SUSPEND_PARTNERS, Right.REVOKE_API_KEYS, Right.PAUSE_BORROWING, Right.BLOCK_WALLETS})

RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: _SEES,
    Role.SUPPORT: _SEES
    | {
        Right.VIEW_API_LOGS,
        Right.VIEW_STATEMENTS,
        Right.CHANGE_PARTNERS,
        Right.RESEND_WEBHOOKS,
        Right.SUSPEND_PARTNERS,
        Right.REVOKE_API_KEYS,
    },
    Role.CREDIT: _SEES
    | _PROTECTS
    | {
        Right.VIEW_API_LOGS,
        Right.VIEW_STATEMENTS,
        Right.CREATE_PARTNERS,
        Right.CHANGE_PARTNERS,
        Right.CHANGE_LIMITS,
        Right.ACTIVATE_PARTNERS,
        Right.MANAGE_ONBOARDING,
        Right.MARK_LOANS,
        Right.UNBLOCK_WALLETS,
    },
    Role.OPERATOR: _SEES
    | _PROTECTS
    | {
        Right.VIEW_API_LOGS,
        Right.FREEZE,
        Right.UNFREEZE,
        Right.OPERATE_SETTLEMENT,
        Right.RUN_RECONCILIATION,
        Right.ARCHIVE_API_LOGS,
        Right.ROTATE_PLATFORM_KEYS,
        Right.RESUME_BORROWING,
        Right.RESEND_WEBHOOKS,
    },
    Role.AUDITOR: _SEES
    | {Right.VIEW_API_LOGS, Right.VIEW_STATEMENTS, Right.VIEW_AUDIT_TRAIL, Right.VIEW_STAFF, Right.REVIEW_BREAK_GLASS},
    Role.ADMIN: frozenset(Right),
}


def rights_of(roles: Iterable[str]) -> frozenset[Right]:
    """The rights of the roles together; a name that is no role has none."""
    by_name = {str(role): rights for role, rights in RIGHTS.items()}
    return frozenset().union(*(by_name.get(name, frozenset()) for name in roles))


def permissions_of(rights: Iterable[Right]) -> frozenset[str]:
    """What Django's `has_perm` answers yes to: the rights, and the console's pages that they include."""
    return frozenset().union(*({str(right)} | SEEN_WITH.get(right, frozenset()) for right in rights))
