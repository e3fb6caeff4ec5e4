"""Is the process up, and can it do its work."""

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django_redis import get_redis_connection

from chain.clients import get_client


def live(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 where database, Redis and chain answer, else 503; each with its state."""
    checks = {"database": _state(_database), "redis": _state(_redis), "chain": _state(_chain)}
    healthy = all(state == "ok" for state in checks.values())
    return JsonResponse({"status": "ok" if healthy else "unavailable", **checks}, status=200 if healthy else 503)


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not ready
        return f"unavailable: {type(error).__name__}"
    return "ok"


def _database() -> None:
    connection.ensure_connection()
    from partners.selectors import partner_count

    partner_count()


def _redis() -> None:
    get_redis_connection("default").ping()


def _chain() -> None:
    get_client().block_number()
