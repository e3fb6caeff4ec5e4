"""The right that a call of the staff API needs: a view names it as `required_right`, an action as its own
(`@action(required_right=Right.SUSPEND_PARTNERS)`). Where a path is both read and written, the view's `rights` name
those of its methods (`{"partial_update": Right.CHANGE_PARTNERS}`). One that names none is refused to everybody.
"""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authority.acting import require_right, staff_of
from authority.rights import Right


class HasRight(BasePermission):
    """403 `right_missing` unless the caller has the right."""

    def has_permission(self, request: Request, view: object) -> bool:
        right = right_of(view)
        if not isinstance(right, Right):
            return False
        require_right(staff_of(request.user), right)
        return True


def right_of(view: object) -> object:
    """The right that the call needs which this view answers; None where it names none."""
    by_method = getattr(view, "rights", {})
    return by_method.get(getattr(view, "action", None), getattr(view, "required_right", None))
