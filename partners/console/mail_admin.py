"""E-mails to partners in the console: what was or will be sent, to whom, and why it was not."""

from django.contrib import admin

from partner_platform.core.console.model_admin import ReadOnlyAdmin
from partners.models import OutgoingMail


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnlyAdmin):
    list_display = ("subject", "recipient", "partner", "created_at", "sent_at", "due_at", "attempts", "last_error")
    list_select_related = ("partner",)
    search_fields = ("recipient", "partner__partner_id")
    ordering = ("-created_at",)
    fields = ("partner", "recipient", "subject", "text", "created_at", "sent_at", "due_at", "attempts", "last_error")
