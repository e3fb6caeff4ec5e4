"""Stopping in the console: a partner, wholly or for borrowing alone, and new borrows of all of them."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from authority.acting import staff_of
from authority.rights import Right
from partner_platform.core.console.model_admin import ConsoleAdmin, ReadOnlyAdmin
from partner_platform.core.errors import BadRequest
from partners import services
from partners.console.one_time_forms import OneTimeAdmin, ReasonForm
from partners.console.shown_once import ask_to_activate
from partners.models import BorrowingPause, Partner, PartnerStatus, SuspensionScope
from partners.stopping import pause


class SuspensionActions(ConsoleAdmin):
    """The actions of the list of partners that suspend; the reason is asked beside them."""

    action_form = ReasonForm

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.SUSPEND_PARTNERS)

    @admin.display(description="suspended for")
    def suspended_for(self, partner: Partner) -> str:
        return str(partner.suspension_scope) if partner.status == PartnerStatus.SUSPENDED else "-"

    @admin.action(description="Suspend: refuse their calls", permissions=["suspend"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Partner]) -> None:
        self._suspend(request, queryset, SuspensionScope.ALL)

    @admin.action(description="Suspend for borrowing: they still read and repay", permissions=["suspend"])
    def suspend_borrowing(self, request: HttpRequest, queryset: QuerySet[Partner]) -> None:
        self._suspend(request, queryset, SuspensionScope.BORROWING)

    def _suspend(self, request: HttpRequest, queryset: QuerySet[Partner], scope: str) -> None:
        reason = request.POST.get("reason", "")
        what = "suspended" if scope == SuspensionScope.ALL else "suspended for borrowing"
        for partner in queryset.order_by("pk"):
            try:
                services.suspend_partner(partner=partner, actor=staff_of(request.user), reason=reason, scope=scope)
            except BadRequest as error:
                self.message_user(request, f"{partner}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{partner} is {what}.", messages.SUCCESS)

    @admin.action(description="Let those that are suspended repay, and not borrow", permissions=["activate"])
    def narrow_suspension(self, request: HttpRequest, queryset: QuerySet[Partner]) -> HttpResponse | None:
        """Shows first why each was suspended, then changes exactly the partners that were shown."""
        partners = list(queryset.order_by("pk"))
        if "confirmed" not in request.POST:
            return ask_to_activate(self.admin_site, request, partners, narrows=True)
        for partner in partners:
            seen = request.POST.get(f"seen_{partner.pk}", "")
            try:
                services.narrow_suspension(
                    partner=partner,
                    actor=staff_of(request.user),
                    reason=request.POST.get("reason", ""),
                    seen=int(seen) if seen.isdecimal() else -1,
                )
            except BadRequest as error:
                self.message_user(request, f"{partner}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{partner} may read and repay, and not borrow.", messages.SUCCESS)
        return None


@admin.register(BorrowingPause)
class BorrowingPauseAdmin(ReadOnlyAdmin, OneTimeAdmin):
    """One row: whether the platform takes new borrows. Chosen, it is paused or resumed, with a reason."""

    action_form = ReasonForm
    list_display = ("__str__", "is_paused", "since", "actor", "reason")
    actions = ("pause_new_borrows", "resume_new_borrows")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.PAUSE_BORROWING)

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.RESUME_BORROWING)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        pause.ensure_pause_row()  # an action needs a row to be chosen
        return super().changelist_view(request, extra_context)

    @admin.action(description="Pause: take no new borrows (with a reason)", permissions=["pause"])
    def pause_new_borrows(self, request: HttpRequest, queryset: QuerySet[BorrowingPause]) -> None:
        self._decide(request, pause.pause_borrowing, "New borrows are paused.")

    @admin.action(description="Resume: take new borrows again (with a reason)", permissions=["resume"])
    def resume_new_borrows(self, request: HttpRequest, queryset: QuerySet[BorrowingPause]) -> None:
        self._decide(request, pause.resume_borrowing, "New borrows are taken.")

    def _decide(self, request: HttpRequest, decide: Callable[..., BorrowingPause], done: str) -> None:
        try:
            decide(actor=staff_of(request.user), reason=request.POST.get("reason", ""))
        except BadRequest as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.message_user(request, done, messages.SUCCESS)
