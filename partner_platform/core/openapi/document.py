"""The whole schema: drf-spectacular's, with the components that several operations share."""

import json
import re
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from partner_platform.core.error_catalogue import CATALOGUE, example_of
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.introduction import INTRODUCTION, TAGS
from partner_platform.core.openapi.operations import camel

VERSION = "1.0.0"
_VARIABLE = re.compile(r"(?<=\{)\w+(?=\})")

ERROR = {
    "type": "object",
    "description": "The one envelope of every error.",
    "required": ["success", "statusCode", "error", "message", "code", "requestId", "retryable", "details"],
    "properties": {
        "success": {"type": "boolean", "const": False},
        "statusCode": {"type": "integer", "minimum": 400, "maximum": 599},
        "error": {"type": "string", "description": "The status in words."},
        "message": {"type": "string", "description": "For people; it may change."},
        "code": {
            "type": "string",
            "description": "For programs; it never changes its meaning.\n\n"
            + "\n".join(f"- `{code}` ({int(entry.status)}): {entry.when}" for code, entry in CATALOGUE.items()),
            "enum": [str(code) for code in CATALOGUE],
        },
        "requestId": {"type": "string"},
        "retryable": {"type": "boolean", "description": "The same request, unchanged, may succeed after Retry-After."},
        "details": {"type": "object", "description": "Amounts in it are strings of base units."},
        "errors": {
            "type": "array",
            "description": "Of `invalid_request`: each problem that `details` has, one an entry.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "description": "Its dotted path: `userAuthorization.nonce`."},
                    "code": {
                        "type": "string",
                        "description": "For programs: `required`, `null`, `blank`, `unknown_field`, `invalid_choice`, "
                        "`min_value`, `max_value`, `max_length`, `repeated`, `parse_error`, or `invalid`. More may "
                        "come.",
                    },
                    "message": {"type": "string", "description": "For people; it may change."},
                },
            },
        },
    },
}
SECURITY_SCHEMES = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "`pk_{partner}_{live|sandbox}_{32 characters}`"},
    "staffToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a member of staff, of `POST /auth/token`; it is valid for ten minutes.",
    },
    "signatureTime": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Timestamp",
        "description": "Milliseconds since the epoch, five minutes off at most. For partners that sign.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Signature",
        "description": "For partners that sign; each signature counts once. Version 2: `v2=` and the hex HMAC-SHA256, "
        "with the signing secret, of "
        "`{X-Timestamp}\\n{METHOD}\\n{path?query}\\n{Idempotency-Key or empty}\\n{raw body}`. "
        "Version 1, for partners that are allowed it, signs less: the hex HMAC-SHA256 of `{X-Timestamp}.{raw body}`.",
    },
}


def complete_document(result: dict[str, Any], **_: Any) -> dict[str, object]:
    """drf-spectacular's post-processing hook: the shared components, and what the document says of itself."""
    result["info"] = {"title": "Partner Platform", "version": VERSION, "description": INTRODUCTION}
    result["servers"] = [{"url": "/", "description": "Where this document is served"}]
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    result["paths"] = {
        _VARIABLE.sub(lambda found: camel(found[0]), path): item for path, item in result["paths"].items()
    }
    components = result["components"]
    components["schemas"] = dict(sorted({**components.get("schemas", {}), "Error": ERROR}.items()))
    components["parameters"] = headers.REQUEST
    components["headers"] = headers.RESPONSE
    components["examples"] = {
        str(code): {"summary": CATALOGUE[code].when, "value": example_of(code)} for code in ErrorCode
    }
    components["securitySchemes"] = SECURITY_SCHEMES
    return result


def make_document() -> dict[str, Any]:
    """The schema as it is now, from the URL conf."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


@cache
def text() -> str:
    """The schema as JSON, made once a process; what docs/openapi.json holds."""
    return json.dumps(make_document(), indent=1, ensure_ascii=False) + "\n"
