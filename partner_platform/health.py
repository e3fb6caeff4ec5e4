"""Is the process up, and can it do its work.

`/health/ready` needs no key and no limit: however often it is asked, each process looks once a second, in one thread.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from django_redis import get_redis_connection
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from chain.rpc.clients import get_client
from partner_platform.core.openapi.operations import Caller, OperationDoc, ResponseDoc, described
from partner_platform.core.web.contract_view import ContractView

DEPENDENCIES = ("database", "redis", "chain")
KEPT_SECONDS = 1.0


class Health(serializers.Serializer):
    """The process answers."""

    status = serializers.ChoiceField(choices=["ok"])


class Readiness(serializers.Serializer):
    """The state of what the service needs: `ok`, or `unavailable:` and the kind of the failure. Whether it takes new
    borrows says nothing of its health.
    """

    status = serializers.ChoiceField(choices=["ok", "unavailable"])
    database = serializers.CharField()
    redis = serializers.CharField()
    chain = serializers.CharField()
    borrowing = serializers.ChoiceField(
        choices=["open", "paused", "unknown"], help_text="`paused`: by the platform's staff. `unknown`: no database."
    )


class _HealthView(ContractView):
    is_strict = False
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


class Live(_HealthView):
    """200 while the process answers at all."""

    @described(
        OperationDoc(
            id="getLive",
            tag="Service",
            caller=Caller.ANYBODY,
            is_limited=False,
            summary="Whether the process answers",
            answers=(ResponseDoc(status=200, when="It does", body=Health, example={"status": "ok"}),),
        )
    )
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Ready(_HealthView):
    """200 where database, Redis and chain answer, else 503; each with its state."""

    @described(
        OperationDoc(
            id="getReady",
            tag="Service",
            caller=Caller.ANYBODY,
            is_limited=False,
            summary="Whether database, Redis and chain answer",
            answers=(
                ResponseDoc(
                    status=200,
                    when="All of them do",
                    body=Readiness,
                    example={"status": "ok", **dict.fromkeys(DEPENDENCIES, "ok"), "borrowing": "open"},
                ),
                ResponseDoc(
                    status=503,
                    when="One of them does not",
                    body=Readiness,
                    example={
                        "status": "unavailable",
                        "database": "ok",
                        "redis": "unavailable: ConnectionError",
                        "chain": "ok",
                        "borrowing": "open",
                    },
                ),
            ),
        )
    )
    def get(self, request: Request) -> Response:
        checks = readiness.states()
        healthy = all(checks[name] == "ok" for name in DEPENDENCIES)
        return Response({"status": "ok" if healthy else "unavailable", **checks}, status=200 if healthy else 503)


class _Readiness:
    """The states, at most `KEPT_SECONDS` old; who comes while they are looked at gets the last ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Look anew at the next question."""
        self._states: dict[str, str] = {}
        self._until = 0.0

    def states(self) -> dict[str, str]:
        """Each dependency's state, and under `borrowing` whether new borrows are taken."""
        if time.monotonic() >= self._until and self._lock.acquire(blocking=not self._states):
            try:
                if time.monotonic() >= self._until:
                    found = {"database": _state(_database), "redis": _state(_redis), "chain": _state(_chain)}
                    self._states = {**found, "borrowing": _borrowing() if found["database"] == "ok" else "unknown"}
                    self._until = time.monotonic() + KEPT_SECONDS
            finally:
                self._lock.release()
        return self._states


readiness = _Readiness()


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


def _borrowing() -> str:
    from partners.selectors import is_borrowing_paused

    try:
        return "paused" if is_borrowing_paused() else "open"
    except Exception:  # noqa: BLE001 - whatever it is, `database` tells
        return "unknown"


def _redis() -> None:
    get_redis_connection("default").ping()


def _chain() -> None:
    get_client().block_number()
