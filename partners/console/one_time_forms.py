"""Console forms and actions that take effect once, however often they are submitted (`sent_forms`)."""

import logging
import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ActionForm
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from partner_platform.core.console.model_admin import ConsoleAdmin
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, Forbidden
from partners.console import sent_forms
from partners.models import Partner

logger = logging.getLogger(__name__)

TOKEN = "form_token"  # noqa: S105 - a field's name
NO_TOKEN = "The form was incomplete: nothing was done. Send it again."  # noqa: S105
SENT_BEFORE = "This form was sent before: nothing was done again."
AT_ONCE = "Somebody else saved the same id or settlement address at this moment. Nothing was saved: send it again."


class TokenField(forms.UUIDField):
    """The hidden token of a form, a new one each time the form is rendered."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, label="", widget=forms.HiddenInput, initial=uuid.uuid4, **kwargs)

    def has_changed(self, initial: object, data: object) -> bool:
        return False


class OneTimeActionForm(ActionForm):
    """The form around a list's actions."""

    form_token = TokenField()


class ReasonForm(OneTimeActionForm):
    """Why: asked beside the action."""

    reason = forms.CharField(max_length=300, required=False)


class OneTimeFormMixin(forms.Form):
    """A model's form; without its token it is refused, and rendered again with a new one."""

    form_token = TokenField()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get(TOKEN):
            self.add_error(None, NO_TOKEN)
            data: Any = self.data
            self.data = data.copy()
            self.data[TOKEN] = str(uuid.uuid4())  # type: ignore[index]
        return cleaned


class OneTimeAdmin(ConsoleAdmin):
    """A model whose form and actions take effect once."""

    action_form = OneTimeActionForm
    only_to_send: tuple[str, ...] = (TOKEN,)  # fields that are no part of what is shown
    asks_first: tuple[str, ...] = ()  # actions that change nothing until the page they show is answered

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form's effect and the record of its submission are one transaction."""
        view = super().changeform_view
        if request.method != "POST":
            return view(request, *args, **kwargs)
        token = token_of(request)
        if token is not None and sent_forms.is_sent(token):
            return self._sent_before(request, token)
        response, problem = _save(lambda: view(request, *args, **kwargs))
        if isinstance(response, HttpResponseRedirect):
            return response
        if token is not None and sent_forms.is_sent(token):  # by a click at the same moment
            return self._sent_before(request, token)
        if response is not None:  # the form again, with what is wrong in it
            return response
        self.message_user(request, problem, messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        may_send = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        return fields if may_send else [name for name in fields if name not in self.only_to_send]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        sent_forms.claim_form(form.cleaned_data[TOKEN], sent_by=request.user.get_username())

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        """Record the submission, then run the action; an action that only asks for confirmation is not recorded."""
        if request.POST.get("action") in self.asks_first and "confirmed" not in request.POST:
            return super().response_action(request, queryset, *args)
        token = token_of(request)
        if token is None:
            self.message_user(request, NO_TOKEN, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        if not sent_forms.claim_or_not(token, sent_by=request.user.get_username()):
            return self._sent_before(request, token)
        return super().response_action(request, queryset, *args)

    def _sent_before(self, request: HttpRequest, token: uuid.UUID) -> HttpResponse:
        """Redirect to the secret that the form created, if any; else back, with a message."""
        form = sent_forms.sent_form(token, sent_by=request.user.get_username())
        if form is not None and form.kind:
            return to_outcome(token)
        self.message_user(request, SENT_BEFORE, messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())

    def make_secret(
        self, request: HttpRequest, partner: Partner, make: Callable[[], str], *, what: str, kind: str
    ) -> HttpResponse:
        """In an action: create a secret and redirect to the page that shows it."""
        token = uuid.UUID(request.POST[TOKEN])  # which `response_action` has claimed

        def run() -> None:
            sent_forms.keep_secret(token, partner=partner, secret=make(), what=what, kind=kind)

        run_in_transaction(run)
        return to_outcome(token)


def _save(view: Callable[[], HttpResponse]) -> tuple[HttpResponse | None, str]:
    """The view's response; or none, and the reason why nothing was saved."""
    try:
        return run_in_transaction(view), ""
    except (BadRequest, Forbidden) as error:  # taken since the form was checked; a field for which a right is missing
        return None, error.message
    except IntegrityError as error:
        logger.warning("a form of the console was not saved: %s", error)
        return None, AT_ONCE


def token_of(request: HttpRequest) -> uuid.UUID | None:
    """The token of the submitted form; None where it has none."""
    try:
        return uuid.UUID(request.POST.get(TOKEN, ""))
    except ValueError:
        return None


def to_outcome(token: uuid.UUID) -> HttpResponse:
    """Redirect to the page that shows what the form created, or says that it was shown already."""
    return HttpResponseRedirect(reverse("admin:partners_partner_sent", args=[token]))
