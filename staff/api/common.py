"""What every group of endpoints for staff shares."""

from collections.abc import Mapping

from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from authority.acting import Staff, staff_of
from authority.rights import Right
from partner_platform.core.web.contract_view import ContractView
from staff.access.authentication import StaffAuthentication
from staff.access.permissions import HasRight


class StaffViewSet(ContractView, ViewSet):
    """Endpoints for a member of staff who has the `required_right`."""

    authentication_classes = [StaffAuthentication]
    permission_classes = [HasRight]
    required_right: Right | None = None
    rights: Mapping[str, Right] = {}  # of methods of the view that need another one, by their names


def actor_of(request: Request) -> Staff:
    """Who calls, with the rights of this moment."""
    return staff_of(request.user)
