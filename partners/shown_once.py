"""Pages of the console. A key or secret just made is in this very answer, and in no session, message, log or cache."""

from collections.abc import Sequence

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from partners.models import Partner

PAGE = "admin/partners/partner/key_shown_once.html"
ACTIVATE_PAGE = "admin/partners/partner/activate.html"


def show_once(
    site: AdminSite, request: HttpRequest, partner: Partner, secret: str, *, what: str, name: str = "API key"
) -> HttpResponse:
    """The page; `what` tells in a sentence what happened, `name` what it is that must be saved."""
    context = {
        **site.each_context(request),
        "title": name,
        "opts": Partner._meta,
        "partner": partner,
        "secret": secret,
        "name": name,
        "what": what,
    }
    return TemplateResponse(request, PAGE, context, headers={"Cache-Control": "no-store"})


def ask_to_activate(site: AdminSite, request: HttpRequest, partners: Sequence[Partner]) -> HttpResponse:
    """The page that shows why each of them is not active, and asks."""
    context = {**site.each_context(request), "title": "Activate", "opts": Partner._meta, "partners": partners}
    return TemplateResponse(request, ACTIVATE_PAGE, context)


def actor_of(request: HttpRequest) -> str:
    """Who did it, for the audit entry."""
    return f"staff:{request.user.get_username()}"
