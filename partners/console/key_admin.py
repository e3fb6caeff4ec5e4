"""API keys in the console: create one with fewer scopes or an expiry, list them, revoke them. The key itself is never
listed.
"""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from authority.rights import Right
from partners import credentials
from partners.console import sent_forms
from partners.console.forms import NewKeyForm
from partners.console.one_time_forms import TOKEN, OneTimeAdmin, acting_staff, to_outcome
from partners.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(OneTimeAdmin):
    """Keys without their secret; a key cannot be edited, only replaced."""

    list_display = ("prefix", "partner", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("partner",)
    search_fields = ("prefix", "partner__partner_id")
    ordering = ("-created_at",)
    actions = ("revoke",)
    is_adding_dangerous = True
    form = NewKeyForm

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return ("partner", "scopes", "expires_at", "reason", TOKEN) if obj is None else self.list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.CREATE_API_KEYS)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # a key is replaced, not changed

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.REVOKE_API_KEYS)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = form.cleaned_data
        key = credentials.create_api_key(
            partner=values["partner"],
            actor=acting_staff(request),
            scopes=values["scopes"],
            expires_at=values["expires_at"],
        )
        what = f"{obj.partner} has one more key."
        sent_forms.keep_secret(values[TOKEN], partner=obj.partner, secret=key, what=what, kind="API key")

    def log_addition(self, request: HttpRequest, obj: object, message: object) -> Any:
        """Write nothing: the audit trail has the entry, and Django's log would name a row that was never saved."""

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return to_outcome(uuid.UUID(request.POST[TOKEN]))

    @admin.action(description="Revoke: refuse calls with it", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for api_key in queryset.select_related("partner").order_by("pk"):
            credentials.revoke_api_key(api_key=api_key, actor=acting_staff(request))
            self.message_user(request, f"{api_key} is revoked.", messages.SUCCESS)
