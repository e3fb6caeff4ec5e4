"""What every group of endpoints for staff shares."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers
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


def actor_of(request: Request) -> Staff:
    """Who calls, with the rights of this moment."""
    return staff_of(request.user)


class PartnerIdPath(serializers.Serializer):
    """A partner's public id in a path: any text there that is no partner's is 404."""

    partnerId = serializers.CharField(max_length=64)
