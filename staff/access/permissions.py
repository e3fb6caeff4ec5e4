"""The right that a call of the staff API needs: a view names it as `required_right`, an action as its own
(`@action(required_right=Right.SUSPEND_PARTNERS)`). One that names none is refused to everybody.
"""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authority.acting import require_right, staff_of
from authority.rights import Right


class HasRight(BasePermission):
    """403 `right_missing` unless the caller has the right."""

    def has_permission(self, request: Request, view: object) -> bool:
        right = getattr(view, "required_right", None)
        if not isinstance(right, Right):
            return False
        require_right(staff_of(request.user), right)
        return True
