"""Who may call a partner endpoint, with which scope of its key.

A view names its scope as `required_scope` (an action may name its own: `@action(required_scope=Scope.BORROW)`), and as
`write_scope` another one for methods that are not safe. One that names none asks for `read` where the method is safe,
and for a whole key where it is not.
"""

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from partners.access.principal import PartnerPrincipal
from partners.models import ApiKey, Scope, all_scopes
from partners.rules import require_scopes


class IsPartner(BasePermission):
    """Only a partner that authenticated with an API key that has the view's scope."""

    def has_permission(self, request: Request, view: object) -> bool:
        if not isinstance(request.user, PartnerPrincipal) or not isinstance(request.auth, ApiKey):
            return False
        require_scopes(request.auth, scopes_of(request))
        return True


def scopes_of(request: Request) -> frozenset[str]:
    """The scopes that the view behind this request asks for."""
    view = request.parser_context.get("view") if request.parser_context else None
    scope = getattr(view, "required_scope", None)
    if request.method not in SAFE_METHODS:
        scope = getattr(view, "write_scope", None) or scope
    if scope is not None:
        return frozenset({str(scope)})
    return frozenset({str(Scope.READ)}) if request.method in SAFE_METHODS else frozenset(all_scopes())


def moves_money(request: Request) -> bool:
    """Whether the call may borrow, repay or change settings: such a call is refused while Redis is down, since nothing
    could settle it, and its signature could be used twice.
    """
    return scopes_of(request) != {str(Scope.READ)}


def borrows(request: Request) -> bool:
    """Whether the call is for keys that may borrow: a borrow and its preview."""
    return str(Scope.BORROW) in scopes_of(request)
