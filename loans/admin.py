"""The books in the console, read-only; a default is marked and cured here, nothing else is written."""

from collections.abc import Callable
from functools import partial
from uuid import uuid4

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from authority.acting import staff_of
from authority.rights import Right
from loans.console.wallet_admin import UserWalletAdmin
from loans.models import LedgerEntry, OaidCredit, PartnerLoan, ReconciliationRun, Repayment, SolvencyPosition
from loans.positions.health import warning_factor_bps
from loans.services.lifecycle import cure, mark_defaulted, times_defaulted
from partner_platform.core.collateral import LIQUIDATION_BPS
from partner_platform.core.console.model_admin import ReadOnlyAdmin, ReadOnlyInline
from partner_platform.core.errors import BadRequest
from partner_platform.core.money import BASIS_POINTS, format_dollars
from partners.console.one_time_forms import OneTimeAdmin, ReasonForm

__all__ = [
    "LedgerEntryAdmin",
    "OaidCreditAdmin",
    "PartnerLoanAdmin",
    "ReconciliationRunAdmin",
    "SolvencyPositionAdmin",
    "UserWalletAdmin",
]

CURE_PAGE = "admin/loans/partnerloan/cure.html"


class RepaymentInline(ReadOnlyInline):
    model = Repayment
    fields = ("created_at", "amount", "status", "funding", "repaid_by", "tx_hash", "failure_reason")
    readonly_fields = fields


@admin.register(PartnerLoan)
class PartnerLoanAdmin(ReadOnlyAdmin, OneTimeAdmin):
    list_display = ("partner_loan_id", "partner_name", "status", "principal", "debt", "next_due_at", "created_at")
    action_form = ReasonForm
    asks_first = ("cure_loans",)
    actions = ("default_loans", "cure_loans")
    list_filter = ("status", "partner_name", "created_at")
    search_fields = ("partner_loan_id", "user_wallet", "borrow_tx_hash")
    inlines = (RepaymentInline,)
    date_hierarchy = None
    list_select_related = ()

    @admin.display(description="Principal", ordering="principal_amount")
    def principal(self, loan: PartnerLoan) -> str:
        return format_dollars(loan.principal_amount)

    @admin.display(description="Outstanding principal", ordering="outstanding_principal")
    def debt(self, loan: PartnerLoan) -> str:
        return format_dollars(loan.outstanding_principal)

    def has_credit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.MARK_LOANS)

    @admin.action(description="Mark as defaulted (with a reason)", permissions=["credit"])
    def default_loans(self, request: HttpRequest, loans: QuerySet[PartnerLoan]) -> None:
        for loan in loans:
            self._decide(request, loan, partial(mark_defaulted, reason=request.POST.get("reason", "")))

    @admin.action(description="Cure: no longer in default", permissions=["credit"])
    def cure_loans(self, request: HttpRequest, loans: QuerySet[PartnerLoan]) -> HttpResponse | None:
        """Shows first why each is in default; what is cured then is what was shown."""
        reason = request.POST.get("reason", "")
        if "confirmed" not in request.POST:
            shown = [(loan, times_defaulted(loan)) for loan in loans]
            context = {**self.admin_site.each_context(request), "title": "Cure", "opts": PartnerLoan._meta}
            context |= {"shown": shown, "reason": reason, "form_token": uuid4()}
            return TemplateResponse(request, CURE_PAGE, context)
        for loan in loans:
            seen = request.POST.get(f"seen_{loan.pk}", "")
            self._decide(request, loan, partial(cure, reason=reason, seen=int(seen) if seen.isdecimal() else -1))
        return None

    def _decide(self, request: HttpRequest, loan: PartnerLoan, decide: Callable[..., PartnerLoan]) -> None:
        try:
            decide(loan_id=loan.pk, actor=staff_of(request.user))
        except BadRequest as error:
            self.message_user(request, f"{loan.partner_loan_id}: {error.message}", messages.ERROR)
        else:
            self.message_user(request, f"{loan.partner_loan_id}: done", messages.SUCCESS)


class AtRiskFilter(admin.SimpleListFilter):
    """Positions within the margin of liquidation, or beyond it, as of the last minute's check."""

    title = "near liquidation"
    parameter_name = "risk"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("near", "Near liquidation"), ("warned", "Warned about")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SolvencyPosition]) -> QuerySet[SolvencyPosition]:
        if self.value() == "warned":
            return queryset.filter(health_warned_at__isnull=False)
        if self.value() == "near":
            near = Q()
            for token_type in LIQUIDATION_BPS:
                near |= Q(token_type=token_type, health_factor_bps__lt=warning_factor_bps(token_type))
            return queryset.filter(near, total_partner_debt__gt=0)
        return queryset


@admin.register(SolvencyPosition)
class SolvencyPositionAdmin(ReadOnlyAdmin):
    list_display = ("position_id", "user_wallet", "token_type", "active", "frozen", "partner_debt", "health")
    list_filter = (AtRiskFilter, "frozen", "active", "token_type")
    ordering = ("health_factor_bps",)

    @admin.display(description="Health factor", ordering="health_factor_bps")
    def health(self, position: SolvencyPosition) -> str:
        return "" if position.health_factor_bps is None else f"{position.health_factor_bps / BASIS_POINTS:.4f}"

    search_fields = ("user_wallet",)

    @admin.display(description="Partner debt", ordering="total_partner_debt")
    def partner_debt(self, position: SolvencyPosition) -> str:
        return format_dollars(position.total_partner_debt)


@admin.register(OaidCredit)
class OaidCreditAdmin(ReadOnlyAdmin):
    list_display = ("oaid_token_id", "in_flight", "settled_block", "frozen")
    list_filter = ("frozen",)

    @admin.display(description="In flight", ordering="reserved")
    def in_flight(self, credit: OaidCredit) -> str:
        return format_dollars(credit.reserved)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("position_id", "kind", "amount", "tx_hash", "created_at")
    list_filter = ("kind",)
    search_fields = ("tx_hash",)


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "block_number", "finding_count", "repaired")
    ordering = ("-created_at",)
