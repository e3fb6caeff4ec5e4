"""The settings that no environment variable changes; `settings` takes all of them over.

Middleware, Celery's way of running tasks and their schedule, the REST framework, the schema, passwords, language.
"""

import datetime as dt

MIDDLEWARE = [
    "audit.calls.forwarding.ForwardedHeadersMiddleware",
    "partner_platform.core.instrumentation.request_metrics.BeforeMiddleware",
    "partner_platform.core.web.middleware.RequestIdMiddleware",
    "partner_platform.core.web.middleware.NoStoreMiddleware",
    "partner_platform.core.web.middleware.ApiVersionMiddleware",
    "partners.refusals.refusal_limits.TurnAwayMiddleware",
    "audit.calls.access_log.AccessLogMiddleware",
    "audit.calls.middleware.ApiLogMiddleware",
    "partners.refusals.refusal_limits.CountRefusalsMiddleware",
    "partner_platform.core.web.middleware.PathMiddleware",
    "partner_platform.core.web.middleware.BodySizeMiddleware",
    "partners.access.middleware.RateLimitHeadersMiddleware",
    "partners.access.concurrency.ConcurrencyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "partner_platform.core.instrumentation.request_metrics.AfterMiddleware",
]

ROOT_URLCONF = "partner_platform.urls"
WSGI_APPLICATION = "partner_platform.wsgi.application"
APPEND_SLASH = True  # for the console only; API paths carry no trailing slash and match before it matters

# --- Celery: another interface; a task only says when, the database says what is due ---------------------------
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5.0, "socket_connect_timeout": 1.0, "max_retries": 1}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# What goes to servers of others has a queue and a worker of its own, so that none of them can slow settlement.
CELERY_TASK_ROUTES = {
    "webhooks.tasks.deliver": {"queue": "webhooks"},
    "webhooks.tasks.delete_what_is_old": {"queue": "webhooks"},
    "partners.tasks.send_mail": {"queue": "webhooks"},
}
CELERY_BEAT_SCHEDULE = {
    # Kept longer than its period: whatever occupies a worker's threads, the next free one sends transactions.
    "drive-settlement": {"task": "chain.tasks.drive_settlement", "schedule": 2.0, "options": {"expires": 20}},
    "settle-loans": {"task": "loans.tasks.settle_loans", "schedule": 2.0, "options": {"expires": 2}},
    "sweep-idempotency-keys": {
        "task": "partners.tasks.sweep_idempotency_keys",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "sweep-sent-forms": {"task": "partners.tasks.sweep_sent_forms", "schedule": 600.0, "options": {"expires": 600}},
    "warn-of-expiring-keys": {
        "task": "partners.tasks.warn_of_expiring_keys",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "carry-pause": {"task": "partners.tasks.carry_pause", "schedule": 10.0, "options": {"expires": 10}},
    "send-mail": {"task": "partners.tasks.send_mail", "schedule": 30.0, "options": {"expires": 30}},
    "follow-chain": {"task": "loans.tasks.follow_chain", "schedule": 2.0, "options": {"expires": 2}},
    "watch-loans": {"task": "loans.tasks.watch_loans", "schedule": 60.0, "options": {"expires": 60}},
    "reconcile": {"task": "loans.tasks.reconcile", "schedule": 15.0, "options": {"expires": 15}},
    "seal-audit-trail": {"task": "audit.tasks.seal_trail", "schedule": 2.0, "options": {"expires": 2}},
    "anchor-audit-trail": {"task": "chain.tasks.anchor_audit_trail", "schedule": 300.0, "options": {"expires": 300}},
    "record-refused-calls": {"task": "audit.tasks.record_refused_calls", "schedule": 60.0, "options": {"expires": 60}},
    "deliver-webhooks": {"task": "webhooks.tasks.deliver", "schedule": 2.0, "options": {"expires": 2}},
    "archive-api-logs": {"task": "audit.tasks.archive_api_logs", "schedule": 3600.0, "options": {"expires": 3600}},
    "tell-unclaimed-transfers": {
        "task": "loans.tasks.tell_unclaimed_transfers",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "delete-old-events": {
        "task": "webhooks.tasks.delete_what_is_old",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
}

# --- HTTP ----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["partners.access.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["partners.access.permissions.IsPartner"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["partner_platform.core.web.parsers.StrictJSONParser"],
    "EXCEPTION_HANDLER": "partner_platform.core.web.exception_handler.handle_exception",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "partner_platform.core.web.parsers.JSONNegotiation",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is 405: docs/openapi.json tells what there is
    "DEFAULT_SCHEMA_CLASS": "partner_platform.core.openapi.auto_schema.ContractSchema",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}

# Access tokens of the staff API; refresh tokens are rows of ours, so the library issues none.
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": dt.timedelta(minutes=10), "ALGORITHM": "HS256"}

SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "partner_platform.core.openapi.document.complete_document",
        "partner_platform.event_docs.add_webhooks",
    ],
}

AUTHENTICATION_BACKENDS = ["authority.backend.RoleBackend"]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
