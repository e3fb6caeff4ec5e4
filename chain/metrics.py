"""What settlement and the watcher show Prometheus (docs/metrics.md).

The first ones are counted and seen by the processes that talk to the chain. What `register` puts on the page is read
from the database when the page is built, also where no process drives. No label is a URL: URLs carry keys.
"""

from urllib.parse import urlsplit

from partner_platform.core import metrics

send_refusals = metrics.counter(
    "chain_send_refusals_total", "Sends that an endpoint refused or did not answer, by what that means", ["meaning"]
)
endpoints_disagree = metrics.counter(
    "chain_endpoints_disagree_total",
    "Questions that endpoints answered differently, by what they were about",
    ["about"],
)
reorgs = metrics.counter("settlement_reorgs_total", "Reorgs that undid what settlement or the watcher had read")
endpoint_lagging = metrics.gauge(
    "chain_endpoint_lagging",
    "1 where an endpoint lags, stands still, is far behind or silent, else 0",
    ["endpoint"],
    mode="livemostrecent",
)
endpoint_head = metrics.gauge(
    "chain_endpoint_head", "The newest block that an endpoint told of", ["endpoint"], mode="livemostrecent"
)
seconds_without_news = metrics.gauge(
    "chain_seconds_without_news",
    "How long the driver has seen no new block, or got no answer; 0 where it has",
    mode="livemostrecent",
)
watcher_blocks_behind = metrics.gauge(
    "watcher_blocks_behind",
    "Blocks between the chain's head and the last one that the watcher read",
    mode="livemostrecent",
)


def endpoint_label(url: str) -> str:
    """The label of an RPC endpoint: its host, with the port where the URL names one."""
    parts = urlsplit(url)
    host = parts.hostname or "unknown"
    return f"{host}:{parts.port}" if parts.port else host


def register() -> None:
    """Put on the page what the database knows."""
    from chain import overdue, selectors

    metrics.read_at_scrape(
        "settlement_operations",
        "Operations that are not settled, by state",
        selectors.open_operations_by_state,
        labels=["state"],
    )
    metrics.read_at_scrape(
        "settlement_overdue",
        "What is open for more than CHAIN_OVERDUE_BLOCKS blocks: operations by state, and TRANSACTION",
        overdue.counts,
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
