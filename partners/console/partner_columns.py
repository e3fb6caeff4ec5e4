"""Columns of the list of partners: amounts in dollars."""

from django.contrib import admin

from partner_platform.core.money import format_dollars
from partners.models import Partner

SUMS = ("current_outstanding_dollars", "total_borrowed_dollars", "total_repaid_dollars", "utilisation")


class PartnerColumns:
    """For `PartnerAdmin`."""

    @admin.display(description="daily limit", ordering="daily_borrow_limit")
    def daily_limit(self, partner: Partner) -> str:
        return format_dollars(partner.daily_borrow_limit)

    @admin.display(description="total limit", ordering="total_borrow_limit")
    def total_limit(self, partner: Partner) -> str:
        return format_dollars(partner.total_borrow_limit)

    @admin.display(description="outstanding", ordering="current_outstanding")
    def current_outstanding_dollars(self, partner: Partner) -> str:
        return format_dollars(partner.current_outstanding)

    @admin.display(description="total borrowed")
    def total_borrowed_dollars(self, partner: Partner) -> str:
        return format_dollars(partner.total_borrowed)

    @admin.display(description="total repaid")
    def total_repaid_dollars(self, partner: Partner) -> str:
        return format_dollars(partner.total_repaid)

    @admin.display(description="utilisation")
    def utilisation(self, partner: Partner) -> str:
        """Outstanding by total limit, rounded down: 100 % only where nothing is left."""
        tenths = partner.current_outstanding * 1000 // max(partner.total_borrow_limit, 1)
        return f"{tenths // 10}.{tenths % 10} %"
