"""Every endpoint of the URL conf: its path as a pattern, and the methods that it answers."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admindocs.views import simplify_regex
from django.urls import URLPattern, URLResolver, get_resolver

Endpoint = tuple[str, str]  # method, and path as the table writes it: /partners/loan/<partner_loan_id>


def endpoints() -> set[Endpoint]:
    """What the service answers. A plain function has no list of methods; it is taken to be for GET."""
    return {
        (method, path)
        for path, view in _views(get_resolver().url_patterns, "")
        for method in _methods(view)
        if not path.startswith("/console/")
    }


def console_pages() -> set[str]:
    """The paths of the console; what a page does with a method, it does after it has let somebody in."""
    return {path for path, _ in _views(get_resolver().url_patterns, "") if path.startswith("/console/")}


def _views(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern), pattern
            yield simplify_regex(route), pattern.callback


def _methods(view: Any) -> set[str]:
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if actions := getattr(view, "actions", None):  # a DRF viewset: {method: action}
        names = {*actions, "options"}
    elif view_class:
        names = {name for name in view_class.http_method_names if hasattr(view_class, name)}
    else:
        return {"GET"}
    if getattr(view_class, "metadata_class", "") is None:
        names.discard("options")  # DRF's own answer to it is switched off
    return _with_head({name.upper() for name in names})


def _with_head(methods: set[str]) -> set[str]:
    return methods | {"HEAD"} if "GET" in methods else methods
