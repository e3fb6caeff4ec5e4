"""Headers of requests (`REQUEST`) and answers (`RESPONSE`), by the names they have among the schema's components."""

from typing import Any

from partner_platform.core.web import api_versions

_SECONDS = {"type": "integer", "minimum": 0}

IDEMPOTENCY_KEY = "IdempotencyKey"
PREFER = "Prefer"
REQUEST_ID = "RequestId"
API_VERSION = "ApiVersion"

REQUEST: dict[str, dict[str, Any]] = {
    REQUEST_ID: {
        "name": "X-Request-Id",
        "in": "header",
        "description": "An id of yours for this request: 1 to 64 letters, digits or `._:/+=-`. It comes back as "
        "`X-Client-Request-Id`, and our support finds the call by it; any other text is passed over.",
        "schema": {"type": "string"},
        "example": "7d0f6c1e-order-4711",
    },
    API_VERSION: {
        "name": "API-Version",
        "in": "header",
        "description": "The version of the contract to answer this call in; without it the one you are pinned to.",
        "schema": {"type": "string", "enum": api_versions.names()},
        "example": "2026-01-05",
    },
    IDEMPOTENCY_KEY: {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A new one for each thing you want done, the same one for every retry of it; kept for seven "
        "days for you, the method and the path.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        },
        "example": "5b6f0b52-8c0f-4a5e-9d7b-2f3f8b1f6a3c",
    },
    PREFER: {
        "name": "Prefer",
        "in": "header",
        "description": "RFC 7240: `respond-async` does not wait for the settlement, `wait=N` waits N seconds at most. "
        "Other preferences are passed over.",
        "schema": {"type": "string"},
        "example": "respond-async",
    },
}

RESPONSE: dict[str, dict[str, Any]] = {
    "RequestId": {
        "description": "Our id for this request; it is in our logs.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
        "example": "b3f0c9a27d5e4c1f8a6b2d9e7f405163",
    },
    "ClientRequestId": {
        "description": "The `X-Request-Id` that you sent.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,64}$"},
        "example": "7d0f6c1e-order-4711",
    },
    "ApiVersion": {
        "description": "The version of the contract that this answer is of.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        "example": "2026-01-05",
    },
    "Deprecation": {
        "description": "Since when this version is deprecated (RFC 9745), where it is.",
        "schema": {"type": "string", "pattern": "^@[0-9]+$"},
        "example": "@1798761600",
    },
    "Sunset": {
        "description": "When this version ends (RFC 8594), where that is decided.",
        "schema": {"type": "string"},
        "example": "Fri, 31 Dec 2027 23:59:59 GMT",
    },
    "RateLimitPolicy": {
        "description": "The quota: `q` calls in a window of `w` seconds (draft-ietf-httpapi-ratelimit-headers). "
        "Missing where the call was refused before it was counted.",
        "schema": {"type": "string", "pattern": '^"[a-z]+";q=[0-9]+;w=[0-9]+$'},
        "example": '"basic";q=100;w=60',
    },
    "RateLimit": {
        "description": "What is left: `r` calls, for the next `t` seconds.",
        "schema": {"type": "string", "pattern": '^"[a-z]+";r=[0-9]+;t=[0-9]+$'},
        "example": '"basic";r=42;t=31',
    },
    "RetryAfter": {
        "description": "Seconds to wait before the same request, or a look at Location.",
        "required": True,
        "schema": _SECONDS,
        "example": 2,
    },
    "RetryAfterWhereRetryable": {
        "description": "Seconds to wait before the same request, where `retryable` is true.",
        "schema": _SECONDS,
        "example": 1,
    },
    "IdempotentReplayed": {
        "description": "`true` where the `Idempotency-Key` was used before and this is what became of it.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Location": {
        "description": "The loan's path.",
        "required": True,
        "schema": {"type": "string", "pattern": "^/partners/loan/[A-Za-z0-9_-]{1,64}$"},
        "example": "/partners/loan/xyz_loan_12345",
    },
    "LocationOfRepayment": {
        "description": "The repayment's path.",
        "required": True,
        "schema": {"type": "string", "pattern": "^/partners/repayments/[0-9a-f-]{36}$"},
        "example": "/partners/repayments/1f0c8a52-9c3f-4a57-8a14-52d9a8f0f6b7",
    },
    "WWWAuthenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
    "ContentDisposition": {
        "required": True,
        "schema": {"type": "string"},
        "example": 'attachment; filename="transactions.csv"',
    },
}

# What the components are called on the wire.
NAMES = {
    "RequestId": "X-Request-Id",
    "ClientRequestId": "X-Client-Request-Id",
    "ApiVersion": "API-Version",
    "Deprecation": "Deprecation",
    "Sunset": "Sunset",
    "RateLimitPolicy": "RateLimit-Policy",
    "RateLimit": "RateLimit",
    "RetryAfter": "Retry-After",
    "RetryAfterWhereRetryable": "Retry-After",
    "IdempotentReplayed": "Idempotent-Replayed",
    "Location": "Location",
    "LocationOfRepayment": "Location",
    "WWWAuthenticate": "WWW-Authenticate",
    "ContentDisposition": "Content-Disposition",
}


def refs(names: list[str]) -> dict[str, object]:
    """Headers of an answer, as references to the components."""
    return {NAMES[name]: {"$ref": f"#/components/headers/{name}"} for name in names}
