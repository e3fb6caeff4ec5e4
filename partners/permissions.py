"""Who may call a partner endpoint."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from partners.authentication import PartnerPrincipal


class IsPartner(BasePermission):
    """Only a partner that authenticated with its API key."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, PartnerPrincipal)
