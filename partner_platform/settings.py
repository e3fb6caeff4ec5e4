"""Settings, all from the environment (12-factor). Settings without a safe default are required: the process refuses to
start without them.

`ENV_FILE` may name a file of `NAME=value` lines to read first; the environment wins over it. docs/configuration.md
lists every variable. Settings that no variable changes are in `fixed_settings`.
"""

from pathlib import Path
from typing import Any

import environ

from partner_platform.core import live
from partner_platform.core.database.contrib import contrib_for
from partner_platform.core.database.url import database_from_url
from partner_platform.core.ethereum import configured_address
from partner_platform.core.networks import require_networks
from partner_platform.core.secrets import crypto
from partner_platform.fixed_settings import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if env_file := env.str("ENV_FILE", default=""):
    environ.Env.read_env(env_file)

SECRET_KEY = env.str("DJANGO_SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("DJANGO_SECRET_KEY_FALLBACKS", default=[])
DEBUG = env.bool("DJANGO_DEBUG", default=False)
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])

# "sandbox" or "live": part of every API key; a key of the other environment is refused.
PLATFORM_ENVIRONMENT = env.str("PLATFORM_ENVIRONMENT", default="live")
if PLATFORM_ENVIRONMENT not in ("live", "sandbox"):
    raise environ.ImproperlyConfigured("PLATFORM_ENVIRONMENT must be live or sandbox")
IS_SANDBOX = PLATFORM_ENVIRONMENT == "sandbox"

# Stored secrets are encrypted with the first key and readable with all of them.
FIELD_ENCRYPTION_KEYS = crypto.require_keys(env.list("FIELD_ENCRYPTION_KEYS"))

DEFAULT_DATABASE_URL = f"sqlite:///{BASE_DIR / 'db.sqlite3'}"
DATABASE_URL = env.str("DATABASE_URL", default=DEFAULT_DATABASE_URL)
DATABASES = {"default": database_from_url(DATABASE_URL, conn_max_age=env.int("DATABASE_CONN_MAX_AGE", default=600))}
_contrib = contrib_for(DATABASES["default"])  # admin, auth and contenttypes have other keys and migrations on MongoDB
MIGRATION_MODULES = _contrib.migration_modules
DEFAULT_AUTO_FIELD = _contrib.auto_field

INSTALLED_APPS = [
    "partner_platform.core",
    *_contrib.apps,
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
    "audit",
    "events",
    "authority",
    "chain",
    "partners",
    "loans",
    "webhooks",
    "staff",
    "sandbox",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Stores --------------------------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 1.0,
            "SOCKET_TIMEOUT": 5.0,
            "CONNECTION_POOL_KWARGS": {"max_connections": 500},
        },
        "KEY_PREFIX": "partner-platform",
    }
}

CELERY_BROKER_URL = REDIS_URL

# --- E-mail --------------------------------------------------------------------------------------------------------
# Without a server the mails are written to the worker's output, and `check --deploy` warns of it.
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=10)  # seconds, for each answer of the mail server
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="partner-platform@localhost")
# Days before an API key expires at which its partner is told.
API_KEY_EXPIRY_WARNING_DAYS = env.list("API_KEY_EXPIRY_WARNING_DAYS", cast=int, default=[7, 1])
if any(days < 1 for days in API_KEY_EXPIRY_WARNING_DAYS):
    raise environ.ImproperlyConfigured("API_KEY_EXPIRY_WARNING_DAYS must be whole days, 1 at least, or empty")

# --- The chain -----------------------------------------------------------------------------------------------------
CHAIN_ID = env.int("CHAIN_ID", default=5003)  # Mantle Sepolia
CHAIN_RPC_URLS = env.list("CHAIN_RPC_URLS", default=[])
CHAIN_RPC_TIMEOUT_SECONDS = env.float("CHAIN_RPC_TIMEOUT_SECONDS", default=5.0)
CHAIN_REQUEST_TIMEOUT_SECONDS = env.float("CHAIN_REQUEST_TIMEOUT_SECONDS", default=1.0)  # while a caller waits
CHAIN_CONFIRMATIONS = env.int("CHAIN_CONFIRMATIONS", default=1)
# Both had another name before; an environment that still sets the old one keeps its meaning.
CHAIN_OPERATIONS_PER_BUNDLE = env.int(
    "CHAIN_OPERATIONS_PER_BUNDLE", default=env.int("CHAIN_OPERATIONS_PER_CARRIER", default=10)
)
CHAIN_BUNDLE_GAS_LIMIT = env.int(
    "CHAIN_BUNDLE_GAS_LIMIT", default=env.int("CHAIN_CARRIER_GAS_LIMIT", default=5_000_000)
)
CHAIN_MAX_FEE_PER_GAS_WEI = env.int("CHAIN_MAX_FEE_PER_GAS_WEI", default=500 * 10**9)
CHAIN_MAX_IN_FLIGHT = env.int("CHAIN_MAX_IN_FLIGHT", default=12)
# An operation or transaction that is open for so many blocks is told of, once.
CHAIN_OVERDUE_BLOCKS = env.int("CHAIN_OVERDUE_BLOCKS", default=100)
# A newest block that is so old, or no answer for so long (seconds), is told of, once; 0: never, where blocks come only
# with transactions.
CHAIN_SILENT_SECONDS = env.int("CHAIN_SILENT_SECONDS", default=120)
CHAIN_SYSTEM = env.str("CHAIN_SYSTEM", default="plan")  # whose interface the contracts have: plan or public
WATCH_FROM_BLOCK = env.int("WATCH_FROM_BLOCK", default=0)  # the block the system was deployed in
# The contracts, stored checksummed (EIP-55) in whatever case they are written.
OAID_ADDRESS = configured_address("OAID_ADDRESS", env.str("OAID_ADDRESS", default=""))
SOLVENCY_VAULT_ADDRESS = configured_address("SOLVENCY_VAULT_ADDRESS", env.str("SOLVENCY_VAULT_ADDRESS", default=""))
SENIOR_POOL_ADDRESS = configured_address("SENIOR_POOL_ADDRESS", env.str("SENIOR_POOL_ADDRESS", default=""))
USDC_ADDRESS = configured_address("USDC_ADDRESS", env.str("USDC_ADDRESS", default=""))
AUDIT_ANCHOR_ADDRESS = configured_address("AUDIT_ANCHOR_ADDRESS", env.str("AUDIT_ANCHOR_ADDRESS", default=""))
PLATFORM_EXECUTOR_ADDRESS = configured_address(
    "PLATFORM_EXECUTOR_ADDRESS", env.str("PLATFORM_EXECUTOR_ADDRESS", default="")
)
PLATFORM_PRIVATE_KEY = env.str("PLATFORM_PRIVATE_KEY", default="")
# Keys that were rotated out: open transactions of their wallets are still settled.
PLATFORM_RETIRED_PRIVATE_KEYS = env.list("PLATFORM_RETIRED_PRIVATE_KEYS", default=[])

# --- The record ----------------------------------------------------------------------------------------------------
# Secrets that audit entries are signed with, the newest first; without any, DJANGO_SECRET_KEY serves.
AUDIT_KEYS = env.list("AUDIT_KEYS", default=[])
# Days that calls stay in the database; 0: for ever. Refused calls of unknown callers, and their counts, stay shorter.
API_LOG_RETENTION_DAYS = env.int("API_LOG_RETENTION_DAYS", default=400)
API_LOG_REFUSED_RETENTION_DAYS = env.int("API_LOG_REFUSED_RETENTION_DAYS", default=30)
if min(API_LOG_RETENTION_DAYS, API_LOG_REFUSED_RETENTION_DAYS) < 0:
    raise environ.ImproperlyConfigured("API_LOG_RETENTION_DAYS and API_LOG_REFUSED_RETENTION_DAYS must not be negative")
API_LOG_ARCHIVE_DIR = env.str("API_LOG_ARCHIVE_DIR", default="")
# Days that events stay in the feed, and deliveries of webhooks that ended, and their attempts, in the database.
EVENTS_KEEP_DAYS = env.int("EVENTS_KEEP_DAYS", default=90)
WEBHOOK_DELIVERIES_KEEP_DAYS = env.int("WEBHOOK_DELIVERIES_KEEP_DAYS", default=90)
WEBHOOK_ATTEMPTS_KEEP_DAYS = env.int("WEBHOOK_ATTEMPTS_KEEP_DAYS", default=30)
if min(EVENTS_KEEP_DAYS, WEBHOOK_DELIVERIES_KEEP_DAYS, WEBHOOK_ATTEMPTS_KEEP_DAYS) < 1:
    raise environ.ImproperlyConfigured(
        "EVENTS_KEEP_DAYS, WEBHOOK_DELIVERIES_KEEP_DAYS and WEBHOOK_ATTEMPTS_KEEP_DAYS must be at least 1"
    )

# --- Loans ---------------------------------------------------------------------------------------------------------
# Whether each borrow must carry the user's signature (docs/consent.md).
BORROW_CONSENT = env.str("BORROW_CONSENT", default="optional" if IS_SANDBOX else "required")
if BORROW_CONSENT not in ("required", "optional"):
    raise environ.ImproperlyConfigured("BORROW_CONSENT must be required or optional")
# The versions of the message that count. Version 1 does not cover duration, instalments, fee and settlement address.
BORROW_CONSENT_VERSIONS = env.list("BORROW_CONSENT_VERSIONS", default=["1", "2"] if IS_SANDBOX else ["2"])
if not BORROW_CONSENT_VERSIONS or not set(BORROW_CONSENT_VERSIONS) <= {"1", "2"}:
    raise environ.ImproperlyConfigured("BORROW_CONSENT_VERSIONS must be 1, 2 or both, separated by commas")
# The smallest loan, in base units of USDC: below it the fee rounds to nothing, and the gas is the platform's.
MIN_BORROW = env.int("MIN_BORROW", default=1_000_000)
if MIN_BORROW < 1:
    raise environ.ImproperlyConfigured("MIN_BORROW must be at least 1")
# The most that all partners together lend to one wallet, in base units; empty: as much as its credit allows.
WALLET_EXPOSURE_CAP = int(env.str("WALLET_EXPOSURE_CAP", default="") or 0) or None
# Who is asked whether a wallet may borrow: the dotted path of a callable (docs/stopping.md); empty: nobody.
WALLET_SCREENING = env.str("WALLET_SCREENING", default="")
WALLET_SCREENING_URL = env.str("WALLET_SCREENING_URL", default="")
WALLET_SCREENING_TOKEN = env.str("WALLET_SCREENING_TOKEN", default="")
WALLET_SCREENING_HOURS = env.int("WALLET_SCREENING_HOURS", default=24)  # so long an outcome counts
WALLET_SCREENING_TIMEOUT_SECONDS = env.float("WALLET_SCREENING_TIMEOUT_SECONDS", default=5.0)
WALLET_SCREENING_REQUIRED = env.bool("WALLET_SCREENING_REQUIRED", default=True)  # False: borrows go on without it
if (WALLET_EXPOSURE_CAP or 1) < 1 or WALLET_SCREENING_HOURS < 1 or WALLET_SCREENING_TIMEOUT_SECONDS <= 0:
    raise environ.ImproperlyConfigured("WALLET_EXPOSURE_CAP and WALLET_SCREENING_… must be positive")
LOAN_DEFAULT_GRACE_SECONDS = env.int("LOAN_DEFAULT_GRACE_SECONDS", default=7 * 86_400)  # after a missed due date
LOAN_DUE_SOON_SECONDS = env.int("LOAN_DUE_SOON_SECONDS", default=3 * 86_400)  # so long before a due date it is told
HEALTH_WARNING_MARGIN_BPS = env.int("HEALTH_WARNING_MARGIN_BPS", default=1_000)  # how near liquidation is warned about
# The reconciliation compares what moved, and now and then everything; what disagrees twice it freezes.
RECONCILE_SECONDS = env.int("RECONCILE_SECONDS", default=300)
RECONCILE_FULL_SECONDS = env.int("RECONCILE_FULL_SECONDS", default=3_600)
RECONCILE_FREEZES = env.bool("RECONCILE_FREEZES", default=True)
SETTLEMENT_WAIT_SECONDS = env.float("SETTLEMENT_WAIT_SECONDS", default=25.0)

# --- Webhooks ------------------------------------------------------------------------------------------------------
# Seconds to wait before each try of a delivery, from the end of the try before.
WEBHOOK_RETRY_SCHEDULE = [
    float(seconds)
    for seconds in env.list(
        "WEBHOOK_RETRY_SCHEDULE",
        default=["0", "5", "300", "1800", "7200", "18000", "36000", "50400", "72000", "86400"],
    )
]
if not WEBHOOK_RETRY_SCHEDULE or min(WEBHOOK_RETRY_SCHEDULE) < 0:
    raise environ.ImproperlyConfigured("WEBHOOK_RETRY_SCHEDULE must be seconds, one for each try, separated by commas")

# --- Rate limits: calls a minute of a partner by tier, of a client address on public endpoints ---------------------
RATE_LIMITS = {
    "BASIC": env.int("RATE_LIMIT_BASIC", default=100),
    "PREMIUM": env.int("RATE_LIMIT_PREMIUM", default=500),
    "ENTERPRISE": env.int("RATE_LIMIT_ENTERPRISE", default=2000),
    "PUBLIC": env.int("RATE_LIMIT_PUBLIC", default=60),
}
# Refusals a minute of a client address to callers that nobody authenticated; then it is turned away
# (`partners.refusals.refusal_limits`).
RATE_LIMIT_REFUSED = env.int("RATE_LIMIT_REFUSED", default=60)
# Rows a minute that refused calls of unknown callers get in the call log, of each process; beyond, all of them are
# turned away.
REFUSED_CALL_ROWS = env.int("REFUSED_CALL_ROWS", default=300)
if min(*RATE_LIMITS.values(), RATE_LIMIT_REFUSED, REFUSED_CALL_ROWS) < 1:
    raise environ.ImproperlyConfigured("Each RATE_LIMIT_… and REFUSED_CALL_ROWS must be at least 1")

# --- Threads of a web process --------------------------------------------------------------------------------------
WEB_THREADS = env.int("WEB_THREADS", default=32)  # as many as its server is started with
PARTNER_THREADS = env.int("PARTNER_THREADS", default=max(WEB_THREADS * 3 // 4, 1))  # for calls of one partner
WAITING_THREADS = env.int("WAITING_THREADS", default=max(WEB_THREADS // 2, 1))  # for requests that await a settlement
if not (1 <= PARTNER_THREADS <= WEB_THREADS and 1 <= WAITING_THREADS <= WEB_THREADS):
    raise environ.ImproperlyConfigured("PARTNER_THREADS and WAITING_THREADS must be from 1 to WEB_THREADS")

# --- HTTP ----------------------------------------------------------------------------------------------------------
FORCE_SCRIPT_NAME = ""  # the path is what was asked for, whatever a server or a header says of a prefix
# CIDRs of the proxies whose forwarding headers are believed; empty: the peer's address is the client's.
TRUSTED_PROXIES = require_networks("TRUSTED_PROXIES", env.list("TRUSTED_PROXIES", default=[]))
# CIDRs that partners' URLs (webhooks) may reach although they are not public, and without TLS; only a local sandbox's.
WEBHOOK_ALLOWED_NETWORKS = require_networks(
    "WEBHOOK_ALLOWED_NETWORKS", env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])
)
# Access to /metrics: callers with this token, or from one of these networks (CIDRs).
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if 0 < len(METRICS_TOKEN) < 32:
    raise environ.ImproperlyConfigured("METRICS_TOKEN must have 32 characters at least: nothing counts wrong guesses")
METRICS_NETWORKS = require_networks(
    "METRICS_NETWORKS", env.list("METRICS_NETWORKS", default=["127.0.0.0/8", "::1/128"] if IS_SANDBOX else [])
)
# The folder in which web, worker and beat count together (prometheus-client's variable); empty: each for itself.
PROMETHEUS_MULTIPROC_DIR = env.str("PROMETHEUS_MULTIPROC_DIR", default="")
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
SECURE_COOKIES = not IS_SANDBOX
SESSION_COOKIE_SECURE = SECURE_COOKIES
CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "partner_platform.core.console.sessions"
SECURE_SSL_REDIRECT = env.bool("DJANGO_SECURE_SSL_REDIRECT", default=not IS_SANDBOX)
SECURE_REDIRECT_EXEMPT = [r"^metrics$"]  # Prometheus asks each process's own port, inside the network
SECURE_HSTS_SECONDS = 0 if IS_SANDBOX else env.int("DJANGO_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = not IS_SANDBOX
SECURE_HSTS_PRELOAD = not IS_SANDBOX
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "partner_platform" / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = IS_SANDBOX
WHITENOISE_AUTOREFRESH = False

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "partner_platform.core.context.RequestIdFilter"}},
    "formatters": {
        "line": {
            "()": "partner_platform.core.secrets.masking.MaskingFormatter",
            "format": "{asctime} {levelname:<7} {name} [{request_id}] {message}",
            "style": "{",
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "web3": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
    },
}

if not IS_SANDBOX:
    live.require_safe(globals())
