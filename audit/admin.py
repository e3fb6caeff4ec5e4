"""Audit entries and calls in the console: to read and search, not to change."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from audit.differences import differences
from audit.models import ApiLog, ApiLogArchive, AuditBlock, AuditEntry, RefusedCalls
from audit.trail.inspection import inspect_trail
from partner_platform.core.console.model_admin import ReadOnlyAdmin


class RecordAdmin(ReadOnlyAdmin):
    """Nobody can add, change or delete rows. The search is for exact values: it uses the indexes."""

    actions = None
    ordering = ("-timestamp",)
    list_per_page = 50
    show_full_result_count = False

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        # Django's own "=field" would be iexact, which is a pattern on MongoDB.
        matches = Q()
        for name in self.search_fields:
            matches |= Q(**{name: term})
        return queryset.filter(matches), False


class PartnerFilter(admin.SimpleListFilter):
    """By partner; the choices are read from the index one by one, without scanning the log."""

    title = "partner"
    parameter_name = "partner"
    at_most = 200

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        last: str | None = ""  # calls that nobody was authenticated for have ""
        while len(found) < self.at_most:
            later = ApiLog.objects.filter(partner_id__gt=last).order_by("partner_id")
            last = later.values_list("partner_id", flat=True).first()
            if last is None:
                break
            found.append((last, last))
        return found

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(partner_id=self.value()) if self.value() else queryset


class StatusFilter(admin.SimpleListFilter):
    """By the answer's status."""

    title = "status"
    parameter_name = "status"
    statuses = (200, 201, 202, 400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429, 500, 503)

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(str(status), str(status)) for status in self.statuses]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        asked = [status for status in self.statuses if str(status) == self.value()]
        return queryset.filter(status_code=asked[0]) if asked else queryset


@admin.register(ApiLog)
class ApiLogAdmin(RecordAdmin):
    list_display = (
        "timestamp",
        "partner_id",
        "method",
        "endpoint",
        "status_code",
        "error_code",
        "response_time",
        "ip_address",
        "loan_id",
    )
    list_filter = ("success", StatusFilter, "timestamp", PartnerFilter)
    search_fields = ("request_id", "client_request_id", "loan_id", "partner_id")
    search_help_text = "Request id (ours or the caller's), loan id or partner id"


@admin.register(RefusedCalls)
class RefusedCallsAdmin(RecordAdmin):
    """Counts of refused calls that have no row in the call log."""

    list_display = ("timestamp", "client_address", "calls")
    list_filter = ("timestamp",)
    search_fields = ("address",)
    search_help_text = "Address; of IPv6 the first of its /64"
    fields = ("timestamp", "client_address", "calls")

    @admin.display(description="Address", ordering="address")
    def client_address(self, row: RefusedCalls) -> str:
        return f"{row.address}/64" if ":" in row.address else row.address or "(others)"


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    list_display = ("timestamp", "action", "target", "actor", "request_id", "sealed")
    list_filter = ("timestamp",)
    search_fields = ("target", "actor", "action", "request_id")
    search_help_text = "Target (partner:…, loan:…), actor, action or request id"
    fields = ("timestamp", "action", "target", "actor", "request_id", "changes", "state", "block", "mac", "id")

    @admin.display(description="Sealed", boolean=True)
    def sealed(self, entry: AuditEntry) -> bool:
        return entry.block > 0

    @admin.display(description="Verification")
    def state(self, entry: AuditEntry) -> str:
        return inspect_trail(entry).text

    @admin.display(description="Before and after")
    def changes(self, entry: AuditEntry) -> str:
        rows = [
            (found.path, "" if found.before is None else found.before, "" if found.after is None else found.after)
            for found in sorted(differences(entry.before, entry.after), key=lambda found: not found.is_change)
        ]
        table = format_html_join("", "<tr><td>{}</td><td><del>{}</del></td><td><ins>{}</ins></td></tr>", rows)
        return format_html("<table><tr><th>Value</th><th>Before</th><th>After</th></tr>{}</table>", table)


@admin.register(AuditBlock)
class AuditBlockAdmin(RecordAdmin):
    ordering = ("-number",)
    list_display = ("number", "sealed_at", "first_sequence", "size", "hash")
    search_fields = ("hash",)
    search_help_text = "The whole hash"


@admin.register(ApiLogArchive)
class ApiLogArchiveAdmin(RecordAdmin):
    ordering = ("-created_at",)
    list_display = ("file_name", "rows", "first_at", "last_at", "is_deleted", "sha256")
    search_fields = ("file_name",)
    search_help_text = "The whole file name"
