"""What settlement and the watcher show Prometheus (docs/metrics.md).

These are counted and seen by the processes that talk to the chain; `chain.scraped_metrics` has what the database knows.
No label is a URL: URLs carry keys.
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
