"""The console's site: Django's, without the pages that nothing here uses; NUL characters in a request are refused."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse

# No model has a page of its own to view "on site", and no form looks up rows as somebody types. Both pages take ids and
# names of models from the address: on MongoDB a malformed one was an error of ours.
UNUSED_PAGES = frozenset({"view_on_site", "autocomplete"})
NUL = "\x00"


class ConsoleSite(admin.AdminSite):
    """The site behind /console/."""

    def get_urls(self) -> list[Any]:
        return [pattern for pattern in super().get_urls() if getattr(pattern, "name", None) not in UNUSED_PAGES]

    def admin_view(self, view: Callable[..., object], cacheable: bool = False) -> Any:
        return super().admin_view(_without_nul(view), cacheable)


def _without_nul(view: Callable[..., Any]) -> Callable[..., Any]:
    """PostgreSQL takes no NUL in a text: 404 where one is in the path, 400 where it is in the query.

    Forms say so at their fields.
    """

    @wraps(view)
    def refuse_or_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if NUL in request.path_info:
            raise Http404
        if any(NUL in text for name, values in request.GET.lists() for text in (name, *values)):
            raise SuspiciousOperation("a NUL character in the query")
        response: HttpResponse = view(request, *args, **kwargs)
        return response

    return refuse_or_view
