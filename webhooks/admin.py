"""Events, endpoints, deliveries and attempts in the console, read-only; secrets are shown to nobody.

Events are here and not in their own app, which does not know whose partner's key is whose.
"""

from collections.abc import Callable
from typing import ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from events.models import Event
from partner_platform.core.console.model_admin import ReadOnlyAdmin
from partners.models import Partner
from webhooks import searching
from webhooks.models import Attempt, Delivery, Endpoint


class FoundById(ReadOnlyAdmin):
    """A long list that is searched by ids, exactly."""

    find: ClassVar[Callable[..., QuerySet[Model]]]
    show_full_result_count = False  # counting millions takes seconds

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        term = search_term.strip()
        return (type(self).find(queryset, term) if term else queryset), False


@admin.register(Event)
class EventAdmin(FoundById):
    find = searching.find_events
    list_display = ("number", "type", "partner", "partner_loan_id", "sequence", "created_at")
    list_filter = ("type",)
    search_fields = ("partner_loan_id", "loan_id", "id")
    search_help_text = "A loan's id (the partner's or ours), or the event's"
    ordering = ("-created_at",)

    @admin.display(description="partner")
    def partner(self, event: Event) -> str:
        return self._names.get(event.partner_key, str(event.partner_key))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        self._names = dict(Partner.objects.values_list("pk", "partner_id"))
        return super().get_queryset(request)


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
class DeliveryAdmin(FoundById):
    find = searching.find_deliveries
    list_display = ("event_type", "partner_loan_id", "endpoint", "status", "attempts", "last_error", "created_at")
    list_select_related = ("endpoint",)
    list_filter = ("status",)
    search_fields = ("partner_loan_id", "loan_id", "event_id", "id")
    search_help_text = "A loan's id (the partner's or ours), the event's, or the delivery's"
    ordering = ("-created_at",)


@admin.register(Attempt)
class AttemptAdmin(FoundById):
    find = searching.find_attempts
    list_display = ("delivery", "number", "status_code", "error", "duration_ms", "created_at")
    list_select_related = ("delivery",)
    search_fields = ("delivery__partner_loan_id", "delivery__loan_id", "delivery__event_id", "delivery__id")
    search_help_text = "A loan's id (the partner's or ours), the event's, or the delivery's"
    ordering = ("-created_at",)
