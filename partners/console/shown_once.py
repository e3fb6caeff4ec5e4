"""The page after a form that created a key or secret: shows it once, and later says that it was shown."""

import uuid
from collections.abc import Sequence

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse

from partners.console import sent_forms
from partners.models import Partner
from partners.rules import status_of

PAGE = "admin/partners/partner/key_shown_once.html"
ACTIVATE_PAGE = "admin/partners/partner/activate.html"


def show_outcome(site: AdminSite, request: HttpRequest, token: uuid.UUID) -> HttpResponse:
    """The outcome of the form with this token, for the user who submitted it; 404 for everybody else."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    form = sent_forms.sent_form(token, sent_by=request.user.get_username())
    if form is None or form.partner is None:
        raise Http404
    may_see = request.user.has_perm("partners.view_partner")
    partner_page = reverse("admin:partners_partner_change", args=[form.partner.pk])
    secret = sent_forms.take_secret(form)
    form.refresh_from_db(fields=["shown_at"])
    context = {
        **site.each_context(request),
        "title": form.kind,
        "opts": Partner._meta,
        "partner": form.partner,
        "secret": secret,
        "name": form.kind,
        "what": form.what,
        "shown_at": form.shown_at,
        "may_see_partner": may_see,
        "back": partner_page if may_see else reverse("admin:index"),
    }
    return TemplateResponse(request, PAGE, context, headers={"Cache-Control": "no-store"})


def ask_to_activate(
    site: AdminSite, request: HttpRequest, partners: Sequence[Partner], *, narrows: bool = False
) -> HttpResponse:
    """The page that shows why each partner is not active, and asks for confirmation; `narrows`: not to activate them,
    but to let them read and repay.
    """
    title, does = ("Let them repay", "narrow_suspension") if narrows else ("Activate", "activate")
    shown = [(partner, status_of(partner)) for partner in partners]
    context = {**site.each_context(request), "title": title, "opts": Partner._meta, "shown": shown, "does": does}
    context |= {"reason": request.POST.get("reason", ""), "form_token": uuid.uuid4()}
    return TemplateResponse(request, ACTIVATE_PAGE, context)
