"""The page that asks a signed-in person again who they are (`partner_platform.core.console.step_up`)."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from staff.models import ConsoleSession
from staff.second_factor import has_second_factor
from staff.services.sessions import note_proved
from staff.sessions import lifetime, proving

PAGE = "admin/step_up.html"
WAS_OPENED = "step_up_page"  # the page was opened, no form was sent: go back to it
OURS = frozenset({"csrfmiddlewaretoken", WAS_OPENED, proving.CODE, proving.PASSKEY, proving.PASSWORD})


def ask_or_go_on(request: HttpRequest, session: ConsoleSession | None) -> HttpResponse | None:
    """None where the session's person has proved lately who they are, or does so in this request; else the page."""
    if session is None:
        raise PermissionDenied
    if lifetime.is_proved_lately(session):
        return None
    problem = ""
    if request.method == "POST" and proving.is_tried(request):
        with_factor = has_second_factor(session.user)
        problem = proving.problem_of_proof(request, session.user, step="step_up")
        if not problem:
            note_proved(session=session, with_factor=with_factor)
            return _go_on(request)
    return _page(request, session, problem)


def _go_on(request: HttpRequest) -> HttpResponse | None:
    if WAS_OPENED in request.POST:
        return HttpResponseRedirect(request.get_full_path())
    sent = request.POST.copy()
    for name in OURS & set(sent):
        del sent[name]
    request.POST = sent  # type: ignore[assignment]  # a copy of the form, without what the page added
    return None


def _page(request: HttpRequest, session: ConsoleSession, problem: str) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        **proving.fields_for(session.user),
        "title": "Is it you?",
        "problem": problem,
        "action": request.get_full_path(),
        "was_opened": WAS_OPENED if request.method == "GET" or WAS_OPENED in request.POST else "",
        "sent": [(name, value) for name, values in request.POST.lists() for value in values if _may_repeat(name)],
    }
    status = 429 if problem == proving.TOO_MANY else 200
    return TemplateResponse(request, PAGE, context, status=status, headers={"Cache-Control": "no-store"})


def _may_repeat(name: str) -> bool:
    """A new password is no hidden field of a page: it is typed again."""
    return name not in OURS and "password" not in name
