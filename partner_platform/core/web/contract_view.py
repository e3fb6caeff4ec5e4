"""The base of all views: the requested API version, unknown query parameters refused, correct `Allow` and `Vary`."""

from functools import cache
from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.views import APIView

from partner_platform.core.errors import invalid_fields
from partner_platform.core.openapi.operations import OperationDoc, camel, operation_of
from partner_platform.core.web import api_versions
from partner_platform.core.web.api_versions import ApiVersion


class ContractView(APIView):
    """The base of all our views and viewsets (`class LoanViewSet(ContractView, ViewSet)`)."""

    is_strict = True  # False: who only looks whether we live, or for the schema, may ask however it likes

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """DRF's hook: who calls is checked, nothing is read yet.

        Raises 400 `unsupported_api_version`, or `invalid_request` naming each parameter that is not known.
        """
        super().initial(request, *args, **kwargs)
        if not self.is_strict:
            return
        pinned = getattr(request.user, "api_version", None)
        _note(request, api_versions.of_partner(pinned))  # that is the version of a refusal, too
        _note(request, api_versions.choose_version(request.headers.get(api_versions.HEADER), pinned))
        operation = self._operation()
        if operation is not None:
            query: Any = operation.query
            in_path = {camel(name) for name in self.kwargs}
            _require_known(request.query_params, [name for name in _names(query) if name not in in_path])

    @property
    def allowed_methods(self) -> list[str]:
        """What `Allow` lists. DRF counts OPTIONS always, which is 405 here."""
        methods = super().allowed_methods
        return [method for method in methods if method != "OPTIONS" or self.metadata_class is not None]

    @property
    def default_response_headers(self) -> dict[str, str]:
        """`Allow`, and in `Vary` what the answer was chosen by; `Accept` is among it where there are several forms."""
        operation = self._operation()
        names = ["Authorization"] if self.authentication_classes else []
        names += [api_versions.HEADER] if self.is_strict else []
        if operation is not None and len({answer.media_type for answer in operation.answers}) > 1:
            names.append("Accept")
        headers = {"Allow": ", ".join(self.allowed_methods)}
        return {**headers, "Vary": ", ".join(names)} if names else headers

    def _operation(self) -> OperationDoc | None:
        return operation_of(self, str(self.request.method))


def _note(request: Request, version: ApiVersion) -> None:
    """Put the version where views and the middleware that adds its headers find it."""
    request._request.api_version = version  # type: ignore[attr-defined]  # noqa: SLF001 - middleware sees Django's


def _require_known(query: QueryDict, names: list[str]) -> None:
    """Each parameter is one of `names` and given once; a misspelt filter would select everything."""
    takes = f"This call takes {', '.join(sorted(names)) or 'none'}."
    unknown = ErrorDetail(f"Unknown parameter. {takes}", code="unknown_field")
    problems = {name: [unknown] for name in query if name not in names}
    twice = ErrorDetail("Is given twice.", code="repeated")
    problems |= {name: [twice] for name, values in query.lists() if name in names and len(values) > 1}
    if problems:
        raise invalid_fields(problems)


@cache
def _names(query: Any) -> tuple[str, ...]:
    """The fields of a serializer's class; of None there are none."""
    return () if query is None else tuple(query().fields)
