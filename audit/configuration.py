"""Records changed settings in the audit trail: what changed and when. Who changed the environment is not known.

A starting worker compares its settings with the last values in the trail. Secrets are not recorded.
"""

from typing import Any

from django.conf import settings

from audit import selectors
from audit.models import AuditEntry
from audit.services import record_change
from partner_platform.core.database.transactions import run_in_transaction

ACTION = "setting.changed"
ACTOR = "system:start"
WATCHED = (
    "ALLOWED_HOSTS",
    "API_LOG_ARCHIVE_DIR",
    "API_LOG_REFUSED_RETENTION_DAYS",
    "API_LOG_RETENTION_DAYS",
    "AUDIT_ANCHOR_ADDRESS",
    "BORROW_CONSENT",
    "BORROW_CONSENT_VERSIONS",
    "CHAIN_BUNDLE_GAS_LIMIT",
    "CHAIN_CONFIRMATIONS",
    "CHAIN_ID",
    "CHAIN_MAX_FEE_PER_GAS_WEI",
    "CHAIN_MAX_IN_FLIGHT",
    "CHAIN_OPERATIONS_PER_BUNDLE",
    "DEBUG",
    "EVENTS_KEEP_DAYS",
    "METRICS_NETWORKS",
    "OAID_ADDRESS",
    "PARTNER_THREADS",
    "PLATFORM_ENVIRONMENT",
    "PLATFORM_EXECUTOR_ADDRESS",
    "RATE_LIMITS",
    "RATE_LIMIT_REFUSED",
    "REFUSED_CALL_ROWS",
    "SENIOR_POOL_ADDRESS",
    "SETTLEMENT_WAIT_SECONDS",
    "SOLVENCY_VAULT_ADDRESS",
    "TRUSTED_PROXIES",
    "USDC_ADDRESS",
    "WAITING_THREADS",
    "WALLET_EXPOSURE_CAP",
    "WALLET_SCREENING",
    "WALLET_SCREENING_HOURS",
    "WALLET_SCREENING_REQUIRED",
    "WALLET_SCREENING_TIMEOUT_SECONDS",
    "WEBHOOK_ALLOWED_NETWORKS",
    "WEBHOOK_ATTEMPTS_KEEP_DAYS",
    "WEBHOOK_DELIVERIES_KEEP_DAYS",
    "WEBHOOK_RETRY_SCHEDULE",
)


def record_changed_settings() -> list[str]:
    """Write an entry for each watched setting that differs from the trail; returns their names."""
    return run_in_transaction(lambda: [name for name in WATCHED if _record_if_changed(name)])


def _record_if_changed(name: str) -> bool:
    if not hasattr(settings, name):
        return False
    target, now = f"setting:{name}", {"value": getattr(settings, name)}
    last: AuditEntry | None = selectors.changes_of(target).filter(action=ACTION).first()
    before: Any = None if last is None else last.after
    if before == now:
        return False
    record_change(actor=ACTOR, action=ACTION, target=target, before=before, after=now)
    return True
