"""The books in the console: to look at, never to write."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from loans.models import OaidCredit, PartnerLoan, Repayment, SolvencyPosition
from partner_platform.core.money import format_dollars


class ReadOnlyAdmin(admin.ModelAdmin):
    """A model that only the services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RepaymentInline(admin.TabularInline):
    model = Repayment
    extra = 0
    can_delete = False
    fields = ("created_at", "amount", "status", "funding", "repaid_by", "tx_hash", "failure_reason")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PartnerLoan)
class PartnerLoanAdmin(ReadOnlyAdmin):
    list_display = ("partner_loan_id", "partner_name", "status", "principal", "debt", "user_wallet", "created_at")
    list_filter = ("status", "partner_name", "created_at")
    search_fields = ("partner_loan_id", "user_wallet", "borrow_tx_hash")
    inlines = (RepaymentInline,)
    date_hierarchy = None
    list_select_related = ()

    @admin.display(description="Principal", ordering="principal_amount")
    def principal(self, loan: PartnerLoan) -> str:
        return format_dollars(loan.principal_amount)

    @admin.display(description="Remaining debt", ordering="outstanding_principal")
    def debt(self, loan: PartnerLoan) -> str:
        return format_dollars(loan.outstanding_principal)


@admin.register(SolvencyPosition)
class SolvencyPositionAdmin(ReadOnlyAdmin):
    list_display = ("position_id", "user_wallet", "token_type", "active", "partner_debt", "updated_at")
    list_filter = ("active", "token_type")
    search_fields = ("user_wallet",)

    @admin.display(description="Partner debt", ordering="total_partner_debt")
    def partner_debt(self, position: SolvencyPosition) -> str:
        return format_dollars(position.total_partner_debt)


@admin.register(OaidCredit)
class OaidCreditAdmin(ReadOnlyAdmin):
    list_display = ("oaid_token_id", "in_flight", "settled_block")

    @admin.display(description="In flight", ordering="reserved")
    def in_flight(self, credit: OaidCredit) -> str:
        return format_dollars(credit.reserved)
