"""API keys in the console: make one with fewer scopes or an end, see them, revoke them. Never the key itself."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from partner_platform.core.console.model_admin import ConsoleAdmin
from partner_platform.core.errors import BadRequest
from partners import credentials
from partners.forms import NewKeyForm
from partners.models import ApiKey
from partners.shown_once import actor_of, show_once


@admin.register(ApiKey)
class ApiKeyAdmin(ConsoleAdmin):
    """What may be known of keys; changing one means making another."""

    list_display = ("prefix", "partner", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("partner",)
    search_fields = ("prefix", "partner__partner_id")
    ordering = ("-created_at",)
    actions = ("revoke",)
    form = NewKeyForm

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return ("partner", "scopes", "expires_at") if obj is None else self.list_display

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        values = form.cleaned_data
        try:
            request.new_api_key = credentials.create_api_key(  # type: ignore[attr-defined]
                partner=values["partner"],
                actor=actor_of(request),
                scopes=values["scopes"],
                expires_at=values["expires_at"],
            )
        except BadRequest as error:
            request.key_refused = error.message  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Nothing: the trail has the entry, and Django's would name a row that was never saved."""

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        refused = getattr(request, "key_refused", None)
        if refused is not None:
            self.message_user(request, refused, messages.ERROR)
            return HttpResponseRedirect(request.path)
        key: str = request.new_api_key  # type: ignore[attr-defined]
        return show_once(self.admin_site, request, obj.partner, key, what=f"{obj.partner} has one more key.")

    @admin.action(description="Revoke: refuse calls with it", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for api_key in queryset.select_related("partner").order_by("pk"):
            credentials.revoke_api_key(api_key=api_key, actor=actor_of(request))
            self.message_user(request, f"{api_key} is revoked.", messages.SUCCESS)
