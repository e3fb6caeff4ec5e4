"""Approvals and broken glass in the console: what waits, and the page on which a second person decides."""

import json
import uuid
from collections.abc import Callable, Iterable

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from authority.acting import Staff, staff_of
from authority.approvals import deciding, glass
from authority.approvals.kinds import title_of
from authority.models import Approval, ApprovalStatus, GlassBreak
from partner_platform.core.console.model_admin import ReadOnlyAdmin
from partner_platform.core.console.step_up import ask_again
from partner_platform.core.errors import PlatformError

PAGE = "admin/authority/decide.html"
Decision = Callable[[uuid.UUID, Staff, str], tuple[str, dict[str, str]]]


class DecisionAdmin(ReadOnlyAdmin):
    """Rows that somebody decides about, on the row's own page."""

    decisions: tuple[tuple[str, str], ...] = ()  # (value of the button, its label)
    facts: tuple[tuple[str, str], ...] = ()  # shown beside before and after: (label, field)
    open_where: tuple[str, str] = ("", "")  # the field and its value while somebody can still decide

    def get_urls(self) -> list[URLPattern]:
        decide = path("<uuid:pk>/decide/", self.admin_site.admin_view(self.decide_view), name=self._name("decide"))
        return [decide, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            return super().change_view(request, object_id, form_url, extra_context)
        return self._page(request, row)

    def decide_view(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Decide as the form says; what the change made is shown in this response and never again."""
        back = HttpResponseRedirect(reverse(f"admin:{self._name('change')}", args=[pk]))
        if not self.has_view_permission(request):
            raise Http404
        chosen = request.POST.get("decision", "")
        if request.method != "POST" or chosen not in dict(self.decisions):
            return back
        if asked := ask_again(request):
            return asked
        try:
            said, secrets = self.decide(chosen)(pk, staff_of(request.user), request.POST.get("reason", ""))
        except PlatformError as error:
            self.message_user(request, error.message, messages.ERROR)
            return back
        self.message_user(request, said, messages.SUCCESS)
        row = self.get_object(request, str(pk))
        return self._page(request, row, secrets) if secrets and row is not None else back

    def decide(self, decision: str) -> Decision:
        """What the button does: it returns a sentence, and secrets to be shown once."""
        raise NotImplementedError

    def _page(
        self, request: HttpRequest, row: Approval | GlassBreak, secrets: dict[str, str] | None = None
    ) -> HttpResponse:
        field, value = self.open_where
        context = {
            **self.admin_site.each_context(request),
            "title": title_of(row.kind),
            "heading": f"{title_of(row.kind)}: {row.target}",
            "opts": self.opts,
            "row": row,
            "changes": shown_changes(row.before, row.after),
            "facts": [(label, getattr(row, name)) for label, name in self.facts],
            "secrets": sorted((secrets or {}).items()),
            "decisions": self.decisions if getattr(row, field) == value else (),
            "decide": reverse(f"admin:{self._name('decide')}", args=[row.pk]),
            "list": reverse(f"admin:{self._name('changelist')}"),
        }
        return TemplateResponse(request, PAGE, context, headers={"Cache-Control": "no-store"})

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"


@admin.register(Approval)
class ApprovalAdmin(DecisionAdmin):
    list_display = ("created_at", "kind", "target", "status", "maker", "impact", "expires_at", "decided_by")
    list_filter = ("status", "kind")
    ordering = ("-created_at",)
    decisions = (("approve", "Approve"), ("reject", "Reject"))
    open_where = ("status", ApprovalStatus.WAITING)
    facts = (
        ("Impact", "impact"),
        ("Asked for by", "maker"),
        ("Reason", "reason"),
        ("Status", "status"),
        ("Expires", "expires_at"),
        ("Decided by", "decided_by"),
        ("Why", "decision_reason"),
    )

    def decide(self, decision: str) -> Decision:
        return _approve if decision == "approve" else _reject


@admin.register(GlassBreak)
class GlassBreakAdmin(DecisionAdmin):
    list_display = ("created_at", "kind", "target", "actor", "reason", "review_by", "reviewed_by")
    ordering = ("-created_at",)
    decisions = (("review", "I have reviewed it"),)
    open_where = ("reviewed_by", "")
    facts = (
        ("Impact", "impact"),
        ("Done by", "actor"),
        ("Reason", "reason"),
        ("Review before", "review_by"),
        ("Reviewed by", "reviewed_by"),
        ("Note", "review_note"),
    )

    def decide(self, decision: str) -> Decision:
        return _review


def shown_changes(before: dict[str, object], after: dict[str, object]) -> Iterable[tuple[str, str, str]]:
    """Each field with its value before and after, as text."""
    names = list(dict.fromkeys([*before, *after]))
    return [(name, _shown(before, name), _shown(after, name)) for name in names]


def _shown(values: dict[str, object], name: str) -> str:
    value = values.get(name, "")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _approve(pk: uuid.UUID, actor: Staff, reason: str) -> tuple[str, dict[str, str]]:
    done = deciding.approve(approval_id=str(pk), actor=actor, reason=reason)
    return "It is approved and done.", done.secrets


def _reject(pk: uuid.UUID, actor: Staff, reason: str) -> tuple[str, dict[str, str]]:
    deciding.reject(approval_id=str(pk), actor=actor, reason=reason)
    return "It is rejected: nothing was changed.", {}


def _review(pk: uuid.UUID, actor: Staff, reason: str) -> tuple[str, dict[str, str]]:
    glass.review_glass_break(glass_break_id=pk, actor=actor, note=reason)
    return "The review is recorded.", {}
