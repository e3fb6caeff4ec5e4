"""Metrics that are read from the database when the page is built, also where no driver runs."""

from chain import selectors
from chain.settlement import overdue
from partner_platform.core import metrics


def register_settlement_metrics() -> None:
    """Register them; called when Django starts."""
    metrics.read_at_scrape(
        "settlement_operations",
        "Operations that are not settled, by state",
        selectors.open_operations_by_state,
        labels=["state"],
    )
    metrics.read_at_scrape(
        "settlement_overdue",
        "What is open for more than CHAIN_OVERDUE_BLOCKS blocks: operations by state, and TRANSACTION",
        overdue.count_overdue,
        labels=["what"],
    )
    metrics.read_at_scrape(
        "settlement_put_off",
        "Operations with a final state that their owner could not act on, or that wait behind one of these",
        selectors.put_off_count,
    )
    metrics.read_at_scrape(
        "settlement_wallet_frozen", "Wallets that are frozen until a person looks", selectors.frozen_wallets_count
    )
