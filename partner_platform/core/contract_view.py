"""What every view of the HTTP contract does alike: it refuses query parameters that it does not know, and its `Allow`
and `Vary` tell the truth.
"""

from functools import cache
from typing import Any

from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.views import APIView

from partner_platform.core.errors import invalid_fields
from partner_platform.core.openapi.operations import Operation, camel, operation_of


class ContractView(APIView):
    """The base of all our views and viewsets (`class LoanViewSet(ContractView, ViewSet)`)."""

    takes_unknown_parameters = False  # True: what only looks whether we live passes them over

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """DRF's hook: who calls is checked, nothing is read yet. Raises 400 `invalid_request` naming each parameter."""
        super().initial(request, *args, **kwargs)
        operation = self._operation()
        if operation is not None and not self.takes_unknown_parameters:
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
        """`Allow`, and in `Vary` what the answer was chosen by: the key, and `Accept` where there are several forms."""
        operation = self._operation()
        names = ["Authorization"] if self.authentication_classes else []
        if operation is not None and len({answer.media_type for answer in operation.answers}) > 1:
            names.append("Accept")
        headers = {"Allow": ", ".join(self.allowed_methods)}
        return {**headers, "Vary": ", ".join(names)} if names else headers

    def _operation(self) -> Operation | None:
        return operation_of(self, str(self.request.method))


def _require_known(query: QueryDict, names: list[str]) -> None:
    """Each parameter is one of `names` and given once; a misspelt filter would select everything."""
    takes = f"This call takes {', '.join(sorted(names)) or 'none'}."
    problems = {name: [f"Unknown parameter. {takes}"] for name in query if name not in names}
    problems |= {name: ["Is given twice."] for name, values in query.lists() if name in names and len(values) > 1}
    if problems:
        raise invalid_fields(problems)


@cache
def _names(query: Any) -> tuple[str, ...]:
    """The fields of a serializer's class; of None there are none."""
    return () if query is None else tuple(query().fields)
