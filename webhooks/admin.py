"""Endpoints, deliveries and attempts in the console, read-only; secrets are shown to nobody."""

from django.contrib import admin

from partner_platform.core.console.model_admin import ReadOnlyAdmin
from webhooks.models import Attempt, Delivery, Endpoint


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ("url", "partner", "status", "disabled_reason", "failing_since", "delivered_at", "deleted_at")
    list_select_related = ("partner",)
    list_filter = ("status",)
    search_fields = ("url", "partner__partner_id")
    ordering = ("-created_at",)
    # All that there is but the secrets. Read-only, so that no form is made of them.
    fields = readonly_fields = (
        *("partner", "url", "event_types", "description", "is_partners_url", "status", "disabled_reason"),
        *("previous_secret_until", "due_at", "failures_in_a_row", "resume_at", "failing_since", "delivered_at"),
        *("last_failed_at", "deleted_at", "created_at", "updated_at"),
    )


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event_type", "partner_loan_id", "endpoint", "status", "attempts", "last_error", "created_at")
    list_select_related = ("endpoint",)
    list_filter = ("status",)
    search_fields = ("partner_loan_id",)
    ordering = ("-created_at",)
    show_full_result_count = False  # counting millions takes seconds


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("delivery", "number", "status_code", "error", "duration_ms", "created_at")
    list_select_related = ("delivery",)
    ordering = ("-created_at",)
    show_full_result_count = False
