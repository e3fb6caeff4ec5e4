"""Onboarding in the console: how far each partner is, its documents and notes; the next stage, and the check of a
document. What a company says of itself is written by the staff API.
"""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from authority.acting import staff_of
from authority.rights import Right
from partner_platform.core.console.model_admin import ReadOnlyAdmin
from partner_platform.core.errors import BadRequest
from partners.onboarding import records, services
from partners.onboarding.models import Onboarding, OnboardingDocument, OnboardingNote, OnboardingStage, Verdict
from partners.onboarding.stages import ORDER


class _Managed(ReadOnlyAdmin):
    def has_onboarding_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.MANAGE_ONBOARDING)


@admin.register(Onboarding)
class OnboardingAdmin(_Managed):
    list_display = ("partner", "company_name", "stage", "stage_changed_by", "stage_changed_at")
    list_filter = ("stage",)
    list_select_related = ("partner",)
    search_fields = ("company_name", "partner__partner_id")
    ordering = ("-stage_changed_at",)
    actions = ("to_next_stage",)

    @admin.action(description="Move to the next stage", permissions=["onboarding"])
    def to_next_stage(self, request: HttpRequest, queryset: QuerySet[Onboarding]) -> None:
        """Each where it has all that its next stage needs; what is missing is named."""
        for row in queryset.select_related("partner").order_by("pk"):
            place = ORDER.index(OnboardingStage(row.stage))
            following = ORDER[min(place + 1, len(ORDER) - 1)]
            try:
                after = services.advance_onboarding(partner=row.partner, actor=staff_of(request.user), stage=following)
            except BadRequest as error:
                self.message_user(request, f"{row.partner}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{row.partner} is at {after.stage}.", messages.SUCCESS)


@admin.register(OnboardingDocument)
class DocumentAdmin(_Managed):
    list_display = ("partner", "kind", "reference", "added_by", "created_at", "verdict", "checked_by", "checked_at")
    list_filter = ("kind", "verdict")
    list_select_related = ("partner",)
    search_fields = ("reference", "sha256", "partner__partner_id")
    ordering = ("-created_at",)
    actions = ("accept", "reject")

    @admin.action(description="Checked: accepted", permissions=["onboarding"])
    def accept(self, request: HttpRequest, queryset: QuerySet[OnboardingDocument]) -> None:
        self._check(request, queryset, Verdict.ACCEPTED)

    @admin.action(description="Checked: rejected", permissions=["onboarding"])
    def reject(self, request: HttpRequest, queryset: QuerySet[OnboardingDocument]) -> None:
        self._check(request, queryset, Verdict.REJECTED)

    def _check(self, request: HttpRequest, queryset: QuerySet[OnboardingDocument], verdict: Verdict) -> None:
        for row in queryset.select_related("partner").order_by("pk"):
            try:
                records.check_document(
                    partner=row.partner, document_id=str(row.pk), actor=staff_of(request.user), verdict=verdict
                )
            except BadRequest as error:
                self.message_user(request, f"{row}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{row} is {verdict.lower()}.", messages.SUCCESS)


@admin.register(OnboardingNote)
class NoteAdmin(ReadOnlyAdmin):
    list_display = ("partner", "text", "written_by", "created_at")
    list_select_related = ("partner",)
    search_fields = ("partner__partner_id",)
    ordering = ("-created_at",)
