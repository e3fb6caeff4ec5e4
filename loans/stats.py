"""A partner's figures, each from a running sum: two rows are read, however many loans there are."""

from typing import Any

from partner_platform.core import clock
from partner_platform.core.money import percent
from partners.models import Partner, PartnerDailyUsage


def stats(partner: Partner) -> dict[str, Any]:
    """Endpoint 7, of a partner as the authentication has just read it; the day is the UTC day."""
    borrowed_today = borrowed_on_query(partner).values_list("borrowed", flat=True).first() or 0
    return {
        "partnerId": partner.partner_id,
        "partnerName": partner.partner_name,
        "tier": partner.tier,
        "status": partner.status,
        "limits": {
            "dailyBorrowLimit": str(partner.daily_borrow_limit),
            "totalBorrowLimit": str(partner.total_borrow_limit),
            "currentOutstanding": str(partner.current_outstanding),
        },
        "usage": {
            "dailyBorrowed": str(borrowed_today),
            "dailyRemaining": str(max(partner.daily_borrow_limit - borrowed_today, 0)),
            "totalRemaining": str(max(partner.total_borrow_limit - partner.current_outstanding, 0)),
            "utilizationRate": utilization(partner.current_outstanding, partner.total_borrow_limit),
        },
        "lifetime": {
            "totalBorrowed": str(partner.total_borrowed),
            "totalRepaid": str(partner.total_repaid),
            "activeLoans": partner.active_loans,
            "repaidLoans": partner.repaid_loans,
        },
    }


def borrowed_on_query(partner: Partner) -> Any:
    """Today's usage row, for the index tests too."""
    return PartnerDailyUsage.objects.filter(partner_id=partner.pk, day=clock.today()).order_by()


def utilization(outstanding: int, limit: int) -> str:
    """How much of the total limit is outstanding, in percent with one decimal: `5.0%`; `0.0%` without a limit."""
    return percent(outstanding, limit)
