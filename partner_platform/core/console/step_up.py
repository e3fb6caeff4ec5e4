"""Before something dangerous a person of staff proves again who they are, unless they did so in the last minutes.

    @proved_lately
    def some_page(request: HttpRequest, …) -> HttpResponse:

and in a model's pages `ConsoleAdmin.dangerous_actions`, `dangerous_fields` and `is_adding_dangerous`. The page that
asks, and what is taken as a proof, is in `staff.sessions`, whose middleware puts `ask_again` on the request; without it
a dangerous page is refused. The page that asks sends on what was in the form, so that the act goes on in one request.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

P = ParamSpec("P")


def ask_again(request: HttpRequest) -> HttpResponse | None:
    """The page that asks who it is; None where the person has proved it, in this request or shortly before."""
    ask: Callable[[], HttpResponse | None] | None = getattr(request, "ask_again", None)
    if ask is None:
        raise PermissionDenied
    return ask()


def proved_lately(view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Decorates a dangerous page, both its form and what the form does."""

    @wraps(view)
    def ask_or_view(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return ask_again(cast(HttpRequest, args[0])) or view(*args, **kwargs)

    return ask_or_view
