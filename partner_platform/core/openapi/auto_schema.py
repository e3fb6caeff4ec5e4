"""One endpoint as an OpenAPI operation: parameters and bodies from its serializers, errors from the catalogue."""

from collections import defaultdict
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import uritemplate
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry
from rest_framework import serializers

from partner_platform.core.error_catalogue import CATALOGUE
from partner_platform.core.errors import ErrorCode
from partner_platform.core.openapi import headers
from partner_platform.core.openapi.operations import JSON, Caller, Link, OperationDoc, Serializer, camel, operation_of
from partner_platform.core.web.serializers import StrictSerializer

SECURITY: dict[Caller, list[dict[str, list[str]]]] = {
    Caller.ANYBODY: [],
    Caller.PARTNER: [{"apiKey": []}, {"apiKey": [], "signatureTime": [], "signature": []}],
    Caller.STAFF: [{"accessToken": []}],
    Caller.SIGNED_IN: [{"accessToken": []}],
}
_ALWAYS_RETRYABLE = frozenset({429, 503})


class ContractSchema(AutoSchema):
    """DRF's `DEFAULT_SCHEMA_CLASS`; the view's method has its `OperationDoc` by `@described`."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, object]:
        """The operation, with what it refers to put into `registry`."""
        self.registry, self.path, self.path_regex, self.path_prefix = registry, path, path_regex, path_prefix
        self.method = method.upper()
        told = self._told()
        parts = {
            "operationId": told.id,
            "summary": told.summary,
            "description": told.description,
            "tags": [told.tag],
            "parameters": self._parameters_of(told),
            "requestBody": self._body_of(told),
            "security": SECURITY[told.caller],
            "responses": {**self._answers_of(told), **self._errors_of(told)},
        }
        return {name: part for name, part in parts.items() if part or name == "security"}

    def _told(self) -> OperationDoc:
        told = operation_of(self.view, self.method)
        if told is None:
            raise TypeError(f"{self.method} {self.path} is not @described")
        return told

    def _is_versioned(self) -> bool:
        return bool(getattr(self.view, "is_strict", False))

    def _parameters_of(self, told: OperationDoc) -> list[dict[str, Any]]:
        in_path = [camel(name) for name in uritemplate.variables(self.path)]
        fields = {**_fields(told.query), **_fields(told.path)}
        shared = [headers.REQUEST_ID, *([headers.API_VERSION] if self._is_versioned() else []), *told.headers]
        return [
            *(self._parameter(fields[name], "path") for name in in_path),
            *(self._parameter(field, "query") for name, field in fields.items() if name not in in_path),
            *({"$ref": f"#/components/parameters/{name}"} for name in shared),
        ]

    def _parameter(self, field: serializers.Field[object, object, object, object], place: str) -> dict[str, Any]:
        schema = self._map_serializer_field(field, "request")
        self._insert_field_validators(field, schema)
        parameter = {
            "name": field.field_name,
            "in": place,
            "required": place == "path" or field.required,
            "schema": schema,
        }
        if description := schema.pop("description", ""):
            parameter["description"] = description
        return parameter

    def _body_of(self, told: OperationDoc) -> dict[str, object]:
        if told.body is None:
            return {}
        examples = {name: {"value": value} for name, value in told.body_examples.items()}
        content = {JSON: {"schema": self._schema_of(told.body), "examples": examples}}
        return {"required": told.is_body_required, "content": content}

    def _schema_of(self, body: Serializer | dict[str, object]) -> dict[str, object]:
        if isinstance(body, dict):
            return body
        serializer: Any = body()
        schema: dict[str, Any] = self.resolve_serializer(serializer, "request").ref
        return schema

    def _answers_of(self, told: OperationDoc) -> dict[str, object]:
        found: dict[str, Any] = {}
        for answer in told.answers:
            entry = found.setdefault(str(answer.status), {"description": answer.when, "headers": {}, "content": {}})
            entry["headers"] |= headers.refs([*_common_headers(told), *answer.headers])
            if answer.body is not None:
                entry["content"][answer.media_type] = {
                    "schema": self._schema_of(answer.body),
                    "examples": {told.id: {"value": answer.example}},
                }
            if answer.links:
                entry["links"] = {name: _link(link) for name, link in answer.links.items()}
        return {status: {name: part for name, part in entry.items() if part} for status, entry in found.items()}

    def _errors_of(self, told: OperationDoc) -> dict[str, object]:
        codes = [*told.all_errors, *([ErrorCode.NOT_FOUND] if uritemplate.variables(self.path) else [])]
        by_status: dict[int, list[ErrorCode]] = defaultdict(list)
        for code in codes:
            by_status[int(CATALOGUE[code].status)].append(code)
        return {str(status): _error(told, status, by_status[status]) for status in sorted(by_status)}

    def _map_serializer_field(self, field: object, direction: object, bypass_extensions: bool = False) -> Any:
        schema = super()._map_serializer_field(field, direction, bypass_extensions)
        schema.pop("x-spec-enum-id", None)  # for drf-spectacular's own hook, which names enums
        return schema

    def _map_basic_serializer(self, serializer: object, direction: object) -> object:
        schema = super()._map_basic_serializer(serializer, direction)
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
        return schema


def schemas_of(used: Iterable[Serializer]) -> dict[str, object]:
    """The schemas of these serializers and of those inside them, by the names that they have among the components."""
    mapper, registry = ContractSchema(), ComponentRegistry()
    mapper.registry, mapper.method, mapper.path = registry, "POST", ""
    view: Any = SimpleNamespace(request=None)
    mapper.view = view  # no view's: what it answers or takes depends on none
    for serializer in sorted(used, key=lambda kind: kind.__name__):
        instance: Any = serializer()
        mapper.resolve_serializer(instance, "request")
    schemas: dict[str, Any] = registry.build({})["schemas"]
    return schemas


def _fields(serializer: Serializer | None) -> dict[str, Any]:
    if serializer is None:
        return {}
    instance: Any = serializer()
    return dict(instance.fields)


def _common_headers(told: OperationDoc) -> list[str]:
    limits = ["RateLimitPolicy", "RateLimit"] if told.is_limited else []
    replayed = ["IdempotentReplayed"] if headers.IDEMPOTENCY_KEY in told.headers else []
    return ["RequestId", "ClientRequestId", "ApiVersion", "Deprecation", "Sunset", *limits, *replayed]


def _error(told: OperationDoc, status: int, codes: list[ErrorCode]) -> dict[str, object]:
    names = _common_headers(told)
    if status == 401:
        names.append("WWWAuthenticate")
    if status in _ALWAYS_RETRYABLE:
        names.append("RetryAfter")
    elif any(_may_be_retryable(told, code) for code in codes):
        names.append("RetryAfterWhereRetryable")
    narrowed = {"properties": {"statusCode": {"const": status}, "code": {"enum": [str(code) for code in codes]}}}
    return {
        "description": "\n".join(f"- `{code}`: {CATALOGUE[code].when}" for code in codes),
        "headers": headers.refs(names),
        "content": {
            JSON: {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, narrowed]},
                "examples": {str(code): {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _may_be_retryable(told: OperationDoc, code: ErrorCode) -> bool:
    """Whether a retry makes sense; after a bug too, where the caller's key finds the outcome (`core.web.repeating`)."""
    is_keyed = headers.IDEMPOTENCY_KEY in told.headers
    return CATALOGUE[code].retry_after is not None or (is_keyed and code == ErrorCode.INTERNAL_ERROR)


def _link(link: Link) -> dict[str, object]:
    parts = {"operationId": link.operation, "parameters": dict(link.parameters), "requestBody": link.body}
    return {name: part for name, part in parts.items() if part}
