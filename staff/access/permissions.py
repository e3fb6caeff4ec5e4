"""The right that a call of the staff API needs: a view names it as `required_right`, an action as its own
(`@action(required_right=Right.SUSPEND_PARTNERS)`). Where a path is both read and written, the view's `rights` name
those of its methods (`{"partial_update": Right.CHANGE_PARTNERS}`), or `write_right` that of all that are not safe. One
that names none is refused to everybody.
"""

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from authority.acting import require_right, staff_of
from authority.rights import Right


class HasRight(BasePermission):
    """403 `right_missing` unless the caller has the right."""

    def has_permission(self, request: Request, view: object) -> bool:
        right = right_of(view, str(request.method))
        if not isinstance(right, Right):
            return False
        require_right(staff_of(request.user), right)
        return True


def right_of(view: object, method: str) -> object:
    """The right that the call needs which this view answers; None where it names none."""
    of_writes = None if method in SAFE_METHODS else getattr(view, "write_right", None)
    of_all = of_writes or getattr(view, "required_right", None)
    return getattr(view, "rights", {}).get(getattr(view, "action", None), of_all)
