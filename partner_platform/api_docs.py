"""The OpenAPI schema, and its pages: Swagger UI at /docs, ReDoc at /docs/redoc, all of it from our own static files."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe
from rest_framework.request import Request

from partner_platform.core.openapi import document
from partner_platform.core.openapi.operations import Caller, OperationDoc, ResponseDoc, described
from partner_platform.core.web.contract_view import ContractView
from partners.access.admission import PublicThrottle

# Both pages write their styles themselves; Swagger UI draws with data: images, ReDoc searches in a worker of its own.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Schema(ContractView):
    """The schema as JSON; it holds no secret, so anyone may read it."""

    is_strict = False
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes = [PublicThrottle]

    @described(
        OperationDoc(
            id="getSchema",
            tag="Service",
            caller=Caller.ANYBODY,
            summary="This document",
            answers=(
                ResponseDoc(
                    status=200,
                    when="The OpenAPI 3.1 schema",
                    body={"type": "object", "required": ["openapi", "info", "paths"], "additionalProperties": True},
                    example={"openapi": "3.1.0", "info": {"title": "Partner Platform", "version": "…"}, "paths": {}},
                ),
            ),
        )
    )
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document.text(), content_type="application/json")


@require_safe
def swagger(request: HttpRequest) -> HttpResponse:
    """Swagger UI."""
    return _page("api_docs/swagger.html")


@require_safe
def redoc(request: HttpRequest) -> HttpResponse:
    """ReDoc."""
    return _page("api_docs/redoc.html")


def _page(template: str) -> HttpResponse:
    response = HttpResponse(_text(template))
    response["Content-Security-Policy"] = PAGE_POLICY
    return response


@cache
def _text(template: str) -> str:
    """Rendered once a process: it is the same for everybody."""
    return render_to_string(template)
