"""What every group of endpoints for staff shares."""

# ruff: noqa: N815 - the contract's names

from collections.abc import Mapping

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from authority.acting import Staff, staff_of
from authority.rights import Right
from loans.api.lists import PageFields
from partner_platform.core.openapi.fields import Count
from partner_platform.core.web.contract_view import ContractView
from staff.access.authentication import StaffAuthentication
from staff.access.permissions import HasRight


class StaffViewSet(ContractView, ViewSet):
    """Endpoints for a member of staff who has the `required_right`."""

    authentication_classes = [StaffAuthentication]
    permission_classes = [HasRight]
    required_right: Right | None = None
    write_right: Right | None = None  # for methods that are not safe, where it is another one
    rights: Mapping[str, Right] = {}  # of methods of the view that need another one, by their names


def actor_of(request: Request) -> Staff:
    """Who calls, with the rights of this moment."""
    return staff_of(request.user)


class PartnerIdPath(serializers.Serializer):
    """A partner's public id in a path: any text there that is no partner's is 404."""

    partnerId = serializers.CharField(max_length=64)


class BoundedPage(PageFields):
    """The fields of a page of a list that grows for ever."""

    total = Count(help_text="10000: as many or more. On a page reached by cursor that of the first page.")


EXAMPLE_PARTNER_ID = "partner_nlp_003"
