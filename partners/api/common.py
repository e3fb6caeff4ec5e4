"""What every group of endpoints for partners shares, in whichever app it is: the base of their views."""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ViewSet

from partner_platform.core.openapi.operations import ResponseDoc, Serializer
from partner_platform.core.web.contract_view import ContractView
from partners.models import Partner, Scope


class PartnerViewSet(ContractView, ViewSet):
    """Endpoints for an authenticated partner; its key needs the scope `read` where an action names no other."""

    required_scope = Scope.READ
    write_scope: Scope | None = None  # for methods that are not safe, where a path is both read and written


def validated(serializer: BaseSerializer[object]) -> Any:
    """The serializer's validated data; raises 400 `invalid_request` with each field's problems."""
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def partner_of(request: Request) -> Partner:
    """The partner whose key the request was sent with."""
    principal: Any = request.user  # a PartnerPrincipal: our authentication lets nothing else through
    partner: Partner = principal.partner
    return partner


def actor_of(request: Request) -> str:
    """The actor of the audit entry."""
    return f"partner:{partner_of(request).partner_id}"


def returned(when: str, body: Serializer | dict[str, Any], example: object, **more: Any) -> ResponseDoc:
    """The documentation of a 200."""
    return ResponseDoc(status=200, when=when, body=body, example=example, **more)
