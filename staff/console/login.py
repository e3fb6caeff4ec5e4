"""Signing in to the console: the password, then a second factor where the user has one or must have one."""

from typing import cast

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from authority.acting import staff_of
from partner_platform.core.errors import BadRequest
from staff.access import guessing
from staff.access.api_sessions import device_of
from staff.console import pending
from staff.console.enrolment import add_factor, enrolment_context
from staff.second_factor import has_second_factor, is_required
from staff.services import sessions
from staff.sessions import proving
from staff.sessions.middleware import session_of

FACTOR_PAGE = "admin/sign_in/factor.html"
ENROL_PAGE = "admin/sign_in/enrol.html"
CODES_PAGE = "admin/own_account/recovery_codes.html"
NO_STORE = {"Cache-Control": "no-store"}


class PasswordStep(LoginView):
    """Django's form of name and password; it signs nobody in where a second step follows."""

    authentication_form = AdminAuthenticationForm
    template_name = "admin/login.html"

    def get_default_redirect_url(self) -> str:
        return reverse("admin:index")

    def get_context_data(self, **kwargs: object) -> dict[str, object]:
        site, path = admin.site.each_context(self.request), self.request.get_full_path()
        context = {**super().get_context_data(**kwargs), **site, "title": "Log in", "subtitle": None}
        return {**context, "app_path": path, "next": self.get_success_url(), "username": ""}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user, next_url = form.get_user(), self.get_success_url()
        assert isinstance(user, User)  # noqa: S101 - for the type checker: the model of this project's users
        guessing.forgive_try(self.request, form.cleaned_data["username"])
        pending.begin(self.request, user, next_url=next_url)
        if has_second_factor(user):
            return HttpResponseRedirect(reverse("console_factor"))
        if is_required():
            return HttpResponseRedirect(reverse("console_enrol"))
        return HttpResponseRedirect(pending.finish(self.request, user, with_factor=False))

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        typed = form.cleaned_data
        if typed.get("username") and typed.get("password"):  # an empty form is no try
            user = User.objects.filter(username=typed["username"]).first()
            sessions.record_failed_sign_in(user=user, device=device_of(self.request), step="password")
        return super().form_invalid(form)


def login(request: HttpRequest) -> HttpResponse:
    """The first step: 429 where there were too many tries."""
    if request.method == "GET" and admin.site.has_permission(request):
        return HttpResponseRedirect(reverse("admin:index"))
    if request.method == "POST" and guessing.is_one_too_many(request, request.POST.get("username", "")):
        retry_after = {"Retry-After": str(guessing.RETRY_AFTER_SECONDS)}
        return HttpResponse(proving.TOO_MANY, status=429, content_type="text/plain", headers=retry_after)
    return cast(HttpResponse, PasswordStep.as_view()(request))


@never_cache
@csrf_protect
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def factor(request: HttpRequest) -> HttpResponse:
    """The second step of who has a second factor."""
    user = pending.pending_user(request)
    if user is None or not has_second_factor(user):
        return _from_the_start(request)
    problem = ""
    if request.method == "POST":
        problem = proving.problem_of_proof(request, user, step="second_factor")
        if not problem:
            return HttpResponseRedirect(pending.finish(request, user, with_factor=True))
        pending.note_wrong(request)
        if pending.pending_user(request) is None:
            return _from_the_start(request)
    context = {**_context(request, "Second factor"), **proving.fields_for(user), "problem": problem}
    status = 429 if problem == proving.TOO_MANY else 200
    return TemplateResponse(request, FACTOR_PAGE, context, status=status, headers=NO_STORE)


@never_cache
@csrf_protect
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """The second step of who must have a second factor and has none: adds one, then signs in."""
    user = pending.pending_user(request)
    if user is None or has_second_factor(user):
        return _from_the_start(request)
    problem = ""
    if request.method == "POST":
        try:
            codes = add_factor(request, user)
        except BadRequest as error:
            problem = error.message
        else:
            back = pending.finish(request, user, with_factor=True)
            context = {**_context(request, "Recovery codes"), "codes": codes, "back": back}
            return TemplateResponse(request, CODES_PAGE, context, headers=NO_STORE)
    context = {**_context(request, "Add a second factor"), **enrolment_context(request, user), "problem": problem}
    return TemplateResponse(request, ENROL_PAGE, context, headers=NO_STORE)


def logout(request: HttpRequest) -> HttpResponse:
    """Django's own, and the end of the session's row."""
    session = session_of(request)
    if request.method == "POST" and session is not None:
        sessions.end_own_session(actor=staff_of(session.user), session=session, because="signed out")
    return admin.site.logout(request)


def _from_the_start(request: HttpRequest) -> HttpResponse:
    """There is no first step that this could follow."""
    return HttpResponseRedirect(reverse("admin:index" if admin.site.has_permission(request) else "admin:login"))


def _context(request: HttpRequest, title: str) -> dict[str, object]:
    return {**admin.site.each_context(request), "title": title}
