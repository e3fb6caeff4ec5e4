"""What everybody of staff sees and changes of their own account: second factors, sessions, the password."""

from typing import cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_http_methods, require_POST

from authority.acting import staff_of
from partner_platform.core.console.step_up import proved_lately
from partner_platform.core.errors import BadRequest
from staff.access import guessing
from staff.access.api_sessions import device_of
from staff.console.enrolment import add_factor, enrolment_context
from staff.models import ConsoleSession, Passkey
from staff.services import accounts, factors, sessions
from staff.services.sessions import record_failed_sign_in
from staff.sessions import lifetime
from staff.sessions.middleware import session_of
from staff.sessions.proving import TOO_MANY

PAGE = "admin/own_account/index.html"
ADD_PAGE = "admin/own_account/add_factor.html"
CODES_PAGE = "admin/own_account/recovery_codes.html"
NO_STORE = {"Cache-Control": "no-store"}


def own_account(request: HttpRequest) -> HttpResponse:
    """One's factors and open sessions."""
    user = _user(request)
    context = {
        "factors": factors.factors_of(user),
        "passkeys": Passkey.objects.filter(user=user).order_by("created_at"),
        "sessions": lifetime.open_sessions_of(user),
        "this_session": session_of(request),
    }
    return _page(request, PAGE, "Your account", context)


@proved_lately
@require_http_methods(["GET", "POST"])
def add_own_factor(request: HttpRequest) -> HttpResponse:
    """Adds an authenticator app or a passkey; a first one comes with recovery codes."""
    user, problem = _user(request), ""
    if request.method == "POST":
        try:
            codes = add_factor(request, user)
        except BadRequest as error:
            problem = error.message
        else:
            messages.success(request, "The second factor was added.")
            return _codes(request, codes) if codes else _back()
    return _page(request, ADD_PAGE, "Add a second factor", {**enrolment_context(request, user), "problem": problem})


@proved_lately
@require_POST
def remove_own_app(request: HttpRequest) -> HttpResponse:
    """Removes the authenticator app."""
    user = _user(request)
    try:
        factors.remove_app(actor=staff_of(user), user=user, keep=_session(request).pk)
    except BadRequest as error:
        messages.error(request, error.message)
    return _back()


@proved_lately
@require_POST
def remove_own_passkey(request: HttpRequest, passkey_id: UUID) -> HttpResponse:
    """Removes a passkey."""
    user = _user(request)
    try:
        factors.remove_passkey(actor=staff_of(user), user=user, passkey_id=passkey_id, keep=_session(request).pk)
    except BadRequest as error:
        messages.error(request, error.message)
    return _back()


@proved_lately
@require_POST
def renew_own_codes(request: HttpRequest) -> HttpResponse:
    """Makes ten new recovery codes and shows them."""
    user = _user(request)
    try:
        codes = factors.renew_recovery_codes(actor=staff_of(user), user=user)
    except BadRequest as error:
        messages.error(request, error.message)
        return _back()
    return _codes(request, codes)


@require_POST
def end_listed_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Ends one of one's own sessions: never asks again, for it only protects."""
    user = _user(request)
    session = ConsoleSession.objects.select_related("user").filter(pk=session_id, user=user).first()
    if session is None:
        raise Http404
    sessions.end_own_session(actor=staff_of(user), session=session)
    return _back()


class PasswordPage(PasswordChangeView):
    """Django's page; other sessions end with the old password."""

    form_class = AdminPasswordChangeForm
    template_name = "registration/password_change_form.html"
    success_url = reverse_lazy("admin:password_change_done")

    def get_context_data(self, **kwargs: object) -> dict[str, object]:
        return {**super().get_context_data(**kwargs), **admin.site.each_context(self.request)}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        user, password = form.user, form.cleaned_data["new_password1"]
        keep = _session(self.request).pk
        accounts.change_own_password(actor=staff_of(user), user=user, password=password, keep=keep)
        update_session_auth_hash(self.request, user)
        guessing.forgive_try(self.request, user.get_username())
        return HttpResponseRedirect(self.get_success_url())

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        user = _user(self.request)
        if self.request.POST.get("old_password") and "old_password" in form.errors:
            record_failed_sign_in(user=user, device=device_of(self.request), step="password_change")
        else:  # the new one is what is wrong
            guessing.forgive_try(self.request, user.get_username())
        return super().form_invalid(form)


def own_password_page(request: HttpRequest) -> HttpResponse:
    """The page of one's own password. Who found a session open may guess it no more often than who signs in."""
    if request.method == "POST" and guessing.is_one_too_many(request, request.user.get_username()):
        return HttpResponse(TOO_MANY, status=429, content_type="text/plain")
    return cast(HttpResponse, PasswordPage.as_view()(request))


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return _page(request, CODES_PAGE, "Recovery codes", {"codes": codes, "back": reverse("own_account")})


def _page(request: HttpRequest, template: str, title: str, context: dict[str, object]) -> HttpResponse:
    whole = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, whole, headers=NO_STORE)


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("own_account"))


def _user(request: HttpRequest) -> User:
    return User.objects.get(username=request.user.get_username())


def _session(request: HttpRequest) -> ConsoleSession:
    session = session_of(request)
    if session is None:
        raise Http404
    return session
